"""The material of the drops: two seconds of speech and a face, so that an item takes some seconds of two cores."""

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
            shutil.copyfile(self.clip, root / "videos" / f"{video}{self.clip.suffix}")
        return root


def copy(source: Path, target: Path) -> None:
    """Copy a folder as a program does that knows nothing of permissions: what the target's folder gives is what they are."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir()
        else:
            shutil.copyfile(path, place)
