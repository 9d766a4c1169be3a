"""Show the name of a file."""

from pathlib import Path


def display_name(path: Path) -> str:
    """Return the file's name for a message, with what cannot be printed escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in path.name)
