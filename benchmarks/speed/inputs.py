"""The inputs: clips of any size, frame rate and length, and speech of any length, made of one clip and one recording by ffmpeg."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.speed.floor import ENCODE, FFMPEG
from heygem_daemon.media.probe import probe
from scripts.sample_drop import film, speech_command

SIZES: Final = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
"""Width and height in pixels; those of an upright source are swapped."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Makes inputs in `folder`, which keeps them by what they are made of. clip, speech: None = the sample of `make demo`."""

    folder: Path
    clip: Path | None = None
    speech: Path | None = None

    def source(self) -> Path:
        """Return the clip that all others are made of."""
        if self.clip is not None:
            return self.clip
        target = self.folder / "sample.mp4"
        if not target.is_file():
            film(new := self.folder / "new-sample.mp4")
            new.rename(target)
        return target

    def voice(self) -> Path:
        """Return the recording that all others are made of."""
        if self.speech is not None:
            return self.speech
        target = self.folder / "sample.wav"
        if not target.is_file():
            subprocess.run(speech_command("en", new := self.folder / "new-sample.wav"), check=True)
            new.rename(target)
        return target

    def video(self, size: str, *, fps: int, seconds: float, start: float = 0.0) -> Path:
        """Return a clip of this length of the looped source, from `start` (s) on. size: a key of SIZES."""
        source = self.source()
        stream = probe(source.absolute()).video
        if stream is None:
            raise ValueError(f"{source} has no video")
        width, height = SIZES[size]
        if stream.height > stream.width:
            width, height = height, width
        return self._made(source, video_options(source, width, height, fps=fps, seconds=seconds, start=start), ".mp4")

    def recording(self, seconds: float, *, start: float = 0.0) -> Path:
        """Return speech of this length, of the looped recording from `start` (s) on."""
        voice = self.voice()
        return self._made(voice, speech_options(voice, seconds=seconds, start=start), ".wav")

    def _made(self, source: Path, options: tuple[str, ...], suffix: str) -> Path:
        """Return the file that ffmpeg makes with the options; made now, or earlier."""
        state = source.stat()
        name = hashlib.sha256(repr((options, state.st_size, state.st_mtime_ns)).encode()).hexdigest()[:16]
        target = self.folder / f"{name}{suffix}"
        if not target.is_file():
            new = target.with_name(f"new-{target.name}")
            subprocess.run((*FFMPEG, *options, str(new)), check=True)
            new.rename(target)
        return target


def video_options(source: Path, width: int, height: int, *, fps: int, seconds: float, start: float = 0.0) -> tuple[str, ...]:
    """Return ffmpeg's options for a clip of that size, frame rate and length.

    Frames are shown faster or slower, not doubled or dropped, so that every frame differs from the one before. What the source leaves
    empty at the sides is filled with a larger copy of it, so that there is something to encode.
    """
    filled = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    fitted = f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    both = f"split[a][b];[a]{filled}[back];[b]{fitted}[front];[back][front]overlay=(W-w)/2:(H-h)/2,setsar=1,format=yuv420p"
    cut = f"trim=start={start},setpts=PTS-STARTPTS," if start else ""
    opened = ("-stream_loop", "-1", "-r", str(fps), "-i", str(source))
    return (*opened, "-an", "-filter_complex", cut + both, "-frames:v", str(round(seconds * fps)), *ENCODE)


def speech_options(source: Path, *, seconds: float, start: float = 0.0) -> tuple[str, ...]:
    """Return ffmpeg's options for speech of that length: mono, 48 kHz."""
    return ("-stream_loop", "-1", "-i", str(source), "-ss", str(start), "-t", str(seconds), "-vn", "-ac", "1", "-ar", "48000")


def own_name(width: int, height: int, codec: str) -> str:
    """Return the name of a clip in its own size, as "1080 hevc": its shorter side, and its codec if that is not H.264."""
    return f"{min(width, height)}" + ("" if codec == "h264" else f" {codec}")
