"""What is dropped: two seconds of speech and a face, so that an item takes some seconds of two cores."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Material:
    """Folders are made under `folder`, on no computer of the box, to be copied to one."""

    speech: Path
    clip: Path
    folder: Path

    def drop(self, name: str, videos: Sequence[str] = ("teacher",)) -> Path:
        """Make a complete drop of this name. All videos show the same presenter."""
        root = self.folder / name
        (root / "videos").mkdir(parents=True)
        shutil.copyfile(self.speech, root / "speech.wav")
        for video in videos:
            shutil.copyfile(self.clip, root / "videos" / f"{video}.mp4")
        return root
