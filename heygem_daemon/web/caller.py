"""Who makes a request, and in which language the answer is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The user behind a request. `name` is "" where no users are configured: then everybody is an administrator.

    language: "en" or "zh"."""

    name: str = ""
    is_admin: bool = True
    language: str = "en"

    def may_see(self, owner: str) -> bool:
        """Return whether jobs of this owner ("" for those that came by the share) are shown."""
        return self.is_admin or (owner != "" and owner == self.name)
