"""A watch-folder lip-sync server."""

from typing import Final

__version__: Final = "0.2.0"
