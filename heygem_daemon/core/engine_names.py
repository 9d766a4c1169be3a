"""The names of the engines, for those who may not import the engines themselves (lipsync.engines)."""

from typing import Final

FREE_ENGINES: Final = ("rewrite",)
"""Those that run wherever the daemon does, the default first."""
CHECKPOINT_ENGINES: Final = ("wav2lip", "wav2lip+atlas")
"""Those that need a checkpoint of the user's, and the confirmation of its licence."""
