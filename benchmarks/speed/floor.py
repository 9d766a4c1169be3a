"""The floor: what ffmpeg needs to decode a clip and to encode it again with the settings of our encoder. No lip sync can cost less."""

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.speed.processes import Cost, Meter

FFMPEG: Final = ("ffmpeg", "-v", "error", "-nostdin", "-y")
ENCODE: Final = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
"""As `heygem_daemon.media.writer` encodes."""


def transcode_command(video: Path, frames: int, target: Path) -> tuple[str, ...]:
    """Return the command that transcodes `frames` frames of the looped video, without audio."""
    return (*FFMPEG, "-stream_loop", "-1", "-i", str(video), "-frames:v", str(frames), "-an", *ENCODE, str(target))


def transcode(video: Path, frames: int, target: Path) -> Cost:
    """Transcode and return what that took."""
    with Meter() as meter:
        subprocess.run(transcode_command(video, frames, target), check=True)
    target.unlink()
    return Cost(wall=meter.wall, cpu=meter.cpu)
