"""The ID3v2 tag that many programs write in front of a file, whatever its type."""


def id3_bytes(head: bytes) -> int:
    """Return the length of the tag from the first ten bytes of a file (id3.org, ID3v2.4.0, 3.1: four times seven bits), 0 where is none."""
    if head[:3] != b"ID3" or len(head) < 10 or any(byte > 127 for byte in head[6:10]):
        return 0
    has_footer = bool(head[5] & 0x10)
    return 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(head[6:10])) + 10 * has_footer
