"""A fake generator in place of a trained checkpoint: it returns images of the portrait's mouth, opened by a function of the audio."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer, PreparedAtlas
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import Driver
from heygem_daemon.lipsync.wav2lip.framing import Framing
from heygem_daemon.lipsync.wav2lip.generator import TOP, FaceGenerator
from heygem_daemon.lipsync.wav2lip.mel import RATE, SILENCE, mel_spectrogram
from heygem_daemon.lipsync.wav2lip.network import BANDS, COLUMNS, SIDE
from tests.lipsync.conftest import Clip

SHOWN: Final = 10
"""The frame of the clip that is made to open its mouth."""
_STEPS: Final = 16
_FINE: Final = Fraction(200)
"""Frames per second at which a curve is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthImages:
    """lower: float32 [n, 52, 96, 3], 0-255, blue first: the lower half of the framed face, the mouth opening from image to image."""

    lower: Float32

    def showing(self, opening: npt.ArrayLike) -> Float32:
        """Return float32 [n, 52, 96, 3] for openings [n], 0-1: the two nearest images, blended."""
        place = np.clip(np.asarray(opening, np.float64), 0, 1) * (len(self.lower) - 1)
        below = np.minimum(place.astype(int), len(self.lower) - 2)
        weight = (place - below)[:, None, None, None]
        return np.asarray((1 - weight) * self.lower[below] + weight * self.lower[below + 1], np.float32)


def rendered_mouths(clip: Clip, prepared: PreparedAtlas, reference: np.ndarray) -> MouthImages:
    """Return the mouth as the atlas renderer opens it, framed as Wav2Lip frames it."""
    visemes = np.zeros((_STEPS, len(VISEMES)), np.float32)
    visemes[:, VISEMES.index("aa")] = 1
    motion = MouthMotion(
        times=np.arange(_STEPS) / 25,
        opening=np.linspace(0, 1, _STEPS, dtype=np.float32),
        width=np.full(_STEPS, 0.5, np.float32),
        visemes=visemes,
    )
    box = Framing(clip.tracks, reference)(SHOWN)
    assert box is not None
    rendered = AtlasRenderer().render(prepared, [clip.frames[SHOWN]] * _STEPS, [motion])
    return MouthImages(lower=np.stack([box.face(one.frame)[TOP:] for one in rendered]).astype(np.float32))


@dataclass(kw_only=True, eq=False)
class FakeGenerator(FaceGenerator):
    """In place of a `FaceGenerator`: returns the mouth with the opening `opening(mels)`, [n] for mel windows [n, 80, 16].

    batches: the number of faces of every call.
    """

    mouths: MouthImages
    opening: Callable[[Float32], npt.ArrayLike]
    batch: int = 16
    batches: list[int] = field(default_factory=list)

    def __call__(self, mels: Float32, faces: Image) -> Float32:
        assert mels.shape == (len(faces), BANDS, COLUMNS)
        assert faces.shape[1:] == (SIDE, SIDE, 3)
        assert faces.dtype == np.uint8
        self.batches.append(len(faces))
        return self.mouths.showing(self.opening(mels))


class SpeechOpening:
    """The opening that the driver predicts `lead` s after the begin of a mel window of one recording, like a trained network."""

    def __init__(self, driver: Driver, speech: Float32, lead: float) -> None:
        count = len(speech) * _FINE // 16000
        self._curve = np.concatenate([block.opening for block in driver.motion([speech], _FINE, int(count))])
        quiet = np.full((BANDS, COLUMNS), SILENCE, np.float32)
        mel = np.concatenate([quiet, mel_spectrogram(speech), quiet], axis=1)
        self._start = {_key(mel[:, i : i + COLUMNS]): i - COLUMNS for i in range(mel.shape[1] - COLUMNS + 1)}
        self._lead = lead

    def __call__(self, mels: Float32) -> npt.ArrayLike:
        """Return [n] in 0-1: the opening at that time as a fraction of the widest."""
        times = np.array([self._start[_key(window)] / RATE for window in mels]) + self._lead
        return np.asarray(np.interp(times * float(_FINE), np.arange(len(self._curve)), self._curve) / self._curve.max())


def _key(window: Float32) -> bytes:
    return np.ascontiguousarray(window).tobytes()


def loudness(mels: Float32) -> npt.ArrayLike:
    """Return [n] in 0-1: the simplest mouth that follows speech."""
    return np.asarray(np.clip((mels[:, :, 4:10].mean((1, 2)) + 3) / 3, 0, 1))


def always_shut(mels: Float32) -> npt.ArrayLike:
    """Return [n] zeros."""
    return np.zeros(len(mels))


class InvertedOpening:
    """The opposite of another opening."""

    def __init__(self, other: Callable[[Float32], npt.ArrayLike]) -> None:
        self._other = other

    def __call__(self, mels: Float32) -> npt.ArrayLike:
        return 1 - np.asarray(self._other(mels))
