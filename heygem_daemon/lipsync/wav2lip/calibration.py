"""Measure once how early or late the mouths of a checkpoint are; the result is stored beside the checkpoint and corrected for.

The network was trained on windows of audio that begin a frame before the image, and is commonly used with windows that begin with it:
real results are 60 ms early. So a still face is made to speak, its mouth is measured, and correlated with the motion that the driver
`phonetic` predicts from the same audio, which is in time with real mouths. A still face gives the network no hint of the mouth.
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
from heygem_daemon.lipsync.wav2lip.mouth_generation import MouthGenerator, smoothed
from heygem_daemon.lipsync.wav2lip.mouth_measurement import MouthMeasurer
from heygem_daemon.media.formats import display_name
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.run import capture
from heygem_daemon.media.speech import speech_blocks
from heygem_daemon.media.types import MediaInfo

VERSION: Final = "calibration 1"
"""Raise it when the measurement changes: earlier results are then measured again."""
TRAINED_SHIFT: Final = Fraction(-1, 25)
"""s from a frame to its window of audio: in training the window began with the frame before, at 25 frames a second."""
_FRAME_RATE: Final = Fraction(25)
_LONGEST: Final = 20
"""Seconds of audio, and of a clip, that are used."""
_LEAST_R: Final = 0.3
"""Correlation from which a mouth follows the speech: unrelated mouth and audio reach .2 at the best offset in 20 s, a mouth and its own
audio .5 and more."""
_LARGEST_OFFSET_MS: Final = 200.0
"""A larger offset is not believed."""
_PORTRAIT: Final = Path(__file__).parent / "portrait.png"
_SENTENCES: Final = (
    "Good morning, and welcome. Somebody put a recording into a folder, and now my mouth has to follow every word of it. "
    "People pay both bills by May, but papa may be home before five. Why do we always move the whole show so far away? "
    "Open the window, please. Fifty of my best friends have a house above the beach."
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """offset_ms: how late the mouths are when windows begin as in training; None where the mouth does not follow the speech.

    r: the correlation at that offset; measured_with: the clip, or "built-in portrait"; measured: when (ISO 8601).
    """

    offset_ms: float | None
    r: float
    measured_with: str
    measured: str
    version: str = VERSION

    @property
    def follows_speech(self) -> bool:
        """Whether mouth and speech correlate."""
        return self.offset_ms is not None

    @property
    def shift(self) -> Fraction:
        """s from a frame to the begin of its window of audio: for mouths that are early the window begins earlier."""
        return TRAINED_SHIFT + Fraction(round(self.offset_ms or 0.0), 1000)


def load_calibration(path: Path) -> Calibration | None:
    """Return what `save_calibration` wrote, None where there is nothing of this version."""
    try:
        calibration = Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return calibration if calibration.version == VERSION and isinstance(calibration.offset_ms, float | int | None) else None


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write it. Raises OSError."""
    write_durably(path, json.dumps(asdict(calibration), indent=1).encode())


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationRig:
    """A checkpoint and what it is measured with. fallback_driver: in time with real mouths; models: the directory of the model files."""

    generator: FaceGenerator
    fallback_driver: PhoneticDriver
    measurer: MouthMeasurer
    models: Path


UNMEASURED: Final = Calibration(offset_ms=0.0, r=0.0, measured_with="", measured="")
"""Assumed for a checkpoint that could not be measured: it is in time as it was trained."""


def calibrate(rig: CalibrationRig, clip: Path | None = None) -> Calibration | None:
    """Measure the checkpoint of the rig.

    clip: a speaking person, whose face and voice are used; else a portrait and a synthetic voice. Raises HeygemError where the clip
    cannot be used; returns None where there is no clip and espeak-ng is missing.
    """
    with TemporaryDirectory(prefix="heygem-calibration-") as folder:
        recording = clip or Path(folder) / "speech.wav"
        if clip is None and not _synthesise(recording):
            return None
        context = _still_context(probe(clip or _PORTRAIT), rig.models, Path(folder))
        offset, r = _measure_offset(rig, context, list(_first_seconds(recording)))
        is_found = r >= _LEAST_R and abs(offset) <= _LARGEST_OFFSET_MS
        return _new_calibration(offset if is_found else None, r, "built-in portrait" if clip is None else clip.name)


def _measure_offset(rig: CalibrationRig, context: FrameContext, speech: list[Float32]) -> tuple[float, float]:
    """Return how late the mouths are, ms, and r at that offset; 0, 0 where nothing moved."""
    count = round(sum(map(len, speech)) * _FRAME_RATE / 16000)
    mouth_generator = MouthGenerator(context=context, reference=mean_face(context.tracks), generator=rig.generator, measurer=rig.measurer)
    mouths = smoothed(mouth_generator.generate(speech, _FRAME_RATE, count, TRAINED_SHIFT, measured=count))
    measured = [np.nan if measurement is None else measurement.opening for _, measurement in mouths]
    predicted = np.concatenate([block.opening for block in rig.fallback_driver.motion(speech, _FRAME_RATE, count)])
    offset, r = sync_offset(predicted, measured, _FRAME_RATE)
    return (offset, r) if np.isfinite(r) else (0.0, 0.0)


def _new_calibration(offset_ms: float | None, r: float, name: str) -> Calibration:
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    return Calibration(offset_ms=None if offset_ms is None else round(offset_ms, 1), r=round(r, 3), measured_with=name, measured=measured)


def _still_context(info: MediaInfo, models: Path, folder: Path) -> FrameContext:
    """Return the frame of a video with the smallest opening of the lips, repeated without end."""
    video = info.video
    if video is None:
        raise error("not_a_video", name=display_name(info.path), type="a file without video")
    reader = VideoReader(info)
    with closing(reader.frames(0, round(_LONGEST * video.frame_rate))) as frames:
        tracks = track_video(
            frames, size=(video.width, video.height), frame_rate=video.frame_rate, models=models, directory=folder, name=info.path.name
        )
    index = _most_closed_frame(tracks)
    with closing(reader.frames(index, index + 1)) as frames:
        frame = next(frames)
    return FrameContext(frames=repeat(frame), tracks=tracks)


def _most_closed_frame(tracks: FaceTracks) -> int:
    return int(np.nanargmin(lip_opening(tracks.landmarks(0, tracks.frames))))


def _first_seconds(recording: Path) -> Iterator[Float32]:
    """Yield the first _LONGEST seconds of the speech, in blocks of 1 s."""
    with closing(speech_blocks(probe(recording))) as blocks:
        for second, block in enumerate(blocks):
            if second >= _LONGEST:
                return
            yield block


def speech_command(path: Path) -> tuple[str, ...]:
    """Return the espeak-ng command that writes the sentences of the self-test as a WAV file."""
    return ("espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), _SENTENCES)


def _synthesise(path: Path) -> bool:
    """Write the sentences; return whether espeak-ng could."""
    try:
        return capture(speech_command(path), seconds=60.0).code == 0 and path.is_file()
    except HeygemError:
        return False
