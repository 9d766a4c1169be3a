"""How early or late the mouths of a checkpoint come. It is measured once, kept beside the checkpoint, and taken off.

The network was trained on windows of sound that begin a frame before the picture, and is commonly used with windows that begin with it:
real results are 60 ms early. So one still face is made to speak, its mouth is read, and compared with what the driver `phonetic`
hears in the same sound, which is in time with real mouths. A still face tells the network nothing of the mouth it should draw.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from heygem_daemon.core.errors import HeygemError, error
from heygem_daemon.durable import write_durably
from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening, sync_offset
from heygem_daemon.lipsync.geometry.pose import mean_face
from heygem_daemon.lipsync.ports import FrameContext
from heygem_daemon.lipsync.speech.phonetic import PhoneticDriver
from heygem_daemon.lipsync.wav2lip.generator import FaceGenerator
from heygem_daemon.lipsync.wav2lip.mouth_generation import Watcher, smoothed
from heygem_daemon.lipsync.wav2lip.mouth_measurement import LipReader
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import capture
from heygem_daemon.media.speech import speech_blocks
from heygem_daemon.media.types import MediaInfo

VERSION: Final = "calibration 1"
"""Raise it when the way to measure changes: what was measured before is then measured again."""
TRAINED_SHIFT: Final = Fraction(-1, 25)
"""s: in training the window of a frame began with the frame before it, at 25 frames a second."""
_FRAME_RATE: Final = Fraction(25)
_LONGEST: Final = 20
"""Seconds of sound that are listened to, and of a clip that are looked at."""
_LEAST_R: Final = 0.3
"""Mouth and sound that do not belong together reach .2 at the best of the offsets in 20 s; a mouth and its own sound .5 and more."""
_FURTHEST_MS: Final = 200.0
_PORTRAIT: Final = Path(__file__).parent / "portrait.png"
_SENTENCES: Final = (
    "Good morning, and welcome. Somebody put a recording into a folder, and now my mouth has to follow every word of it. "
    "People pay both bills by May, but papa may be home before five. Why do we always move the whole show so far away? "
    "Open the window, please. Fifty of my best friends have a house above the beach."
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """offset_ms: how late the mouths are when windows begin as in training; None where mouth and speech do not belong together.

    r: their correlation at that offset; measured_with: what spoke; measured: when (ISO 8601).
    """

    offset_ms: float | None
    r: float
    measured_with: str
    measured: str
    version: str = VERSION

    @property
    def follows_speech(self) -> bool:
        return self.offset_ms is not None

    @property
    def shift(self) -> Fraction:
        """How much later than a frame its window of sound has to begin, s: mouths that are early hear later what they hear now."""
        return TRAINED_SHIFT + Fraction(round(self.offset_ms or 0.0), 1000)


def load_calibration(path: Path) -> Calibration | None:
    """Return what `save_calibration` wrote, None where there is nothing of this version."""
    try:
        told = Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return told if told.version == VERSION and isinstance(told.offset_ms, float | int | None) else None


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write it. Raises OSError."""
    write_durably(path, json.dumps(asdict(calibration), indent=1).encode())


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What a checkpoint is measured with. driver: in time with real mouths; models: the directory of the model files."""

    generator: FaceGenerator
    driver: PhoneticDriver
    reader: LipReader
    models: Path


UNMEASURED: Final = Calibration(offset_ms=0.0, r=0.0, measured_with="", measured="")
"""What is assumed of a checkpoint that could not be measured: it is as good as it was trained."""


def calibrate(bench: Bench, clip: Path | None = None) -> Calibration | None:
    """Measure the checkpoint on the bench.

    clip: somebody speaking, whose face and voice are used; else a portrait and a synthetic voice. Raises HeygemError where the clip
    cannot be used; returns None where there is no clip and espeak-ng is missing.
    """
    with TemporaryDirectory(prefix="heygem-calibration-") as folder:
        sound = clip or Path(folder) / "speech.wav"
        if clip is None and not _speak(sound):
            return None
        sight = _still(probe(clip or _PORTRAIT), bench.models, Path(folder))
        offset, r = _measured(bench, sight, list(_heard(sound)))
        is_found = r >= _LEAST_R and abs(offset) <= _FURTHEST_MS
        return _found(offset if is_found else None, r, "built-in portrait" if clip is None else clip.name)


def _measured(bench: Bench, sight: FrameContext, speech: list[Float32]) -> tuple[float, float]:
    """Return how late the mouths are, ms, and r at that offset; 0, 0 where nothing moved."""
    count = round(sum(map(len, speech)) * _FRAME_RATE / 16000)
    watcher = Watcher(sight=sight, reference=mean_face(sight.tracks), generator=bench.generator, reader=bench.reader)
    mouths = smoothed(watcher.mouths(speech, _FRAME_RATE, count, TRAINED_SHIFT, read=count))
    read = [np.nan if lips is None else lips.opening for _, lips in mouths]
    asked = np.concatenate([block.opening for block in bench.driver.motion(speech, _FRAME_RATE, count)])
    offset, r = sync_offset(asked, read, _FRAME_RATE)
    return (offset, r) if np.isfinite(r) else (0.0, 0.0)


def _found(offset_ms: float | None, r: float, name: str) -> Calibration:
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    return Calibration(offset_ms=None if offset_ms is None else round(offset_ms, 1), r=round(r, 3), measured_with=name, measured=measured)


def _still(info: MediaInfo, models: Path, folder: Path) -> FrameContext:
    """Return the frame of a video that looks most calmly at the camera, again and again."""
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path))
    reader = VideoReader(info)
    with closing(reader.frames(0, round(_LONGEST * video.frame_rate))) as frames:
        tracks = track_video(
            frames, size=(video.width, video.height), frame_rate=video.frame_rate, models=models, directory=folder, name=info.path.name
        )
    calm = _calmest(tracks)
    with closing(reader.frames(calm, calm + 1)) as frames:
        frame = next(frames)
    return FrameContext(frames=repeat(frame), tracks=tracks)


def _calmest(tracks: FaceTracks) -> int:
    return int(np.nanargmin(lip_opening(tracks.landmarks(0, tracks.frames))))


def _heard(sound: Path) -> Iterator[Float32]:
    with closing(speech_blocks(sound)) as blocks:
        for second, block in enumerate(blocks):
            if second >= _LONGEST:
                return
            yield block


def speech_command(path: Path) -> tuple[str, ...]:
    """Return the espeak-ng command that speaks the sentences of the self-test into a WAV file."""
    return ("espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), _SENTENCES)


def _speak(path: Path) -> bool:
    try:
        return capture(speech_command(path), seconds=60.0).code == 0 and path.is_file()
    except HeygemError:
        return False
