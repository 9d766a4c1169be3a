"""Decide from the decoded channels of an audio track what the driver hears, and how more than two of them become the two of a result.

A recording cannot be mixed blindly: with one channel inverted the voice is lost in the mix, a layout without positions has no mix, and
where two people have a channel each, one of them may be meant. Nothing is decoded here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.channel_layouts import CENTRED, Weights, channel_index, has_positions, normalised, usual_mix
from heygem_daemon.media.types import AudioStream

Float64 = npt.NDArray[np.float64]
BLOCK: Final = 1600
"""Samples at 16 kHz over which powers are compared: 0.1 s."""

SILENCE_DB: Final = -60.0
"""dB of full scale. With its loudest sample below this a recording is silent but for noise: even bad ones of speech peak above -45 dB."""

LOUD_DB: Final = -25.0
"""dB relative to the usual power of the loudest channel (see `_usual_power`): what is softer is a pause."""

CANCELLED: Final = ((1 / 4, 0.15), (1 / 16, 0.02))
"""Power of the mix relative to that of the same channels if they had nothing in common, and the fraction of loud blocks below it from which
on the mix is not used. Measured on four voices: one channel inverted (also 5 samples late at 48 kHz, or under music 6 dB softer that is in
phase) 27 to 100 % and 9 to 100 %; inverted for 5 % of the time 5 and 5 %; stereo of spaced microphones and of rooms at most 11 and 0 %."""

CENTRE_BLOCKS: Final = 30
CENTRE_DB: Final = -15.0
BESIDE_CENTRE: Final = 0.15
"""The centre carries the speech where it comes within 15 dB of the loudest channel in every 3 s that are not silent: films keep it there,
under whatever music. The others are then mixed in 16 dB softer: broadcasts leave the centre empty while they are stereo."""

FAINT: Final = 0.5
"""Where silent channels have half of the weights or more, the mix is 6 dB softer than the speech, and is made without them."""

TURN_BLOCKS: Final = 5
TURN_DB: Final = 12.0
TURN_FRACTION: Final = 0.1
TURNS_FRACTION: Final = 0.6
"""Voices have channels of their own where one channel is 12 dB above all others in 10 % of the loud half seconds, another one in 10 %, and
either in 60 %. Measured: headsets, and lapel microphones with -15 dB of the other voice, 100 %; stereo of rooms, of spaced microphones and
of a voice over music 0 %, panned music 50 %, two people who speak at the same time 45 %."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelActivity:
    """How loud the channels and their mix are.

    peaks: float64 [C], 0..1; powers: float64 [B, C] and mix: float64 [B], mean squares of blocks of 0.1 s.
    """

    peaks: Float64
    powers: Float64
    mix: Float64

    def is_loud(self) -> npt.NDArray[np.bool_]:
        return _is_loud(self.powers)


class ActivityMeter:
    """Collect the activity of samples that come in blocks whose length is a multiple of BLOCK, but for the last one."""

    def __init__(self, channels: int) -> None:
        self._peaks = np.zeros(channels)
        self._powers: list[Float64] = []
        self._mix: list[Float64] = []

    def add(self, samples: npt.NDArray[np.int16], mix: npt.NDArray[np.int16]) -> None:
        """Take int16 [n, C] and [n]."""
        rows = np.ascontiguousarray(samples.T)
        highest, lowest = rows.max(axis=1).astype(np.float64), rows.min(axis=1).astype(np.float64)
        self._peaks = np.maximum(self._peaks, np.maximum(highest, -lowest) / 32768)
        self._powers.append(_block_powers(rows))
        self._mix.append(_block_powers(np.ascontiguousarray(mix)[None])[:, 0])

    def activity(self) -> ChannelActivity:
        """Return what was collected of at least one sample."""
        return ChannelActivity(peaks=self._peaks, powers=np.concatenate(self._powers), mix=np.concatenate(self._mix))


def _block_powers(rows: npt.NDArray[np.int16]) -> Float64:
    """Return float64 [ceil(n / BLOCK), C], mean squares (full scale is 1) of int16 [C, n]. Rows: eight times as fast as columns."""
    scaled = rows.astype(np.float32) / np.float32(32768)
    whole = rows.shape[1] // BLOCK * BLOCK
    powers = [_mean_squares(scaled[:, :whole].reshape(len(rows), -1, BLOCK))]
    if whole < rows.shape[1]:
        powers.append(_mean_squares(scaled[:, None, whole:]))
    return np.concatenate(powers)


def _mean_squares(blocks: npt.NDArray[np.float32]) -> Float64:
    """Return float64 [B, C] of float32 [C, B, n]."""
    return np.asarray(np.einsum("cbn,cbn->bc", blocks, blocks) / blocks.shape[2], np.float64)


def _is_loud(powers: Float64) -> npt.NDArray[np.bool_]:
    """Return bool [B]: where the loudest of float64 [B, C] is no pause."""
    best = powers.max(axis=1)
    return np.asarray(best > _usual_power(best) * 10 ** (LOUD_DB / 10))


def _usual_power(powers: Float64) -> float:
    """Return the mean of float64 [B], each weighted with itself: that of the speech, however little of it there is."""
    return float(np.square(powers).sum() / max(powers.sum(), 1e-30))


@dataclass(frozen=True, kw_only=True)
class ChannelChoice:
    """Weights of the channels: `spoken` in what the driver hears, `downmix` in both channels of a result that has two instead of more.

    An empty tuple stands for the usual mix. warnings: code of core.warning_codes -> a sentence about this file, or "".
    """

    spoken: Weights = ()
    downmix: Weights = ()
    warnings: Mapping[str, str]


def choose_channels(audio: AudioStream, activity: ChannelActivity, wanted: str | None = None) -> ChannelChoice:
    """Return what the driver hears of a track of two or more channels.

    wanted: what `channel_index` accepts; None: one channel where the voice would be lost in the mix; else mostly the centre where it
    carries the speech; else the usual mix, without silent channels where they would make it soft.
    """
    automatic = _choose_automatically(audio, activity)
    if wanted is None:
        return automatic
    index = channel_index(wanted, audio)
    return ChannelChoice(spoken=() if index is None else _only(index, audio.channels), downmix=automatic.downmix, warnings={})


def _choose_automatically(audio: AudioStream, activity: ChannelActivity) -> ChannelChoice:
    audible = activity.peaks >= 10 ** (SILENCE_DB / 20)
    if not audible.any():
        return ChannelChoice(warnings={})
    if _cancels(audio, activity):
        best = _most_present(activity)
        single = _only(best, audio.channels)
        detail = f"The mouth follows {_name_of(best, audio)}."
        return ChannelChoice(spoken=single, downmix=single, warnings={WarningCode.CHANNELS_CANCEL: detail})
    if audio.layout in CENTRED and _has_speech_in_the_centre(activity):
        beside = np.where(np.arange(audio.channels) == 2, 1.0, BESIDE_CENTRE)
        return ChannelChoice(spoken=normalised((np.array(usual_mix(audio)) * beside).tolist()), warnings={})
    weights = np.array(usual_mix(audio)) * audible
    mix = normalised(weights.tolist()) if weights.sum() <= FAINT else ()
    return ChannelChoice(spoken=mix, downmix=mix if not has_positions(audio) else (), warnings=_voices(audio, activity))


def _cancels(audio: AudioStream, activity: ChannelActivity) -> bool:
    loud = activity.is_loud()
    unrelated = activity.powers[loud] @ np.square(usual_mix(audio))
    ratio = activity.mix[loud] / np.maximum(unrelated, 1e-12)
    return any(np.mean(ratio < limit) >= fraction for limit, fraction in CANCELLED)


def _most_present(activity: ChannelActivity) -> int:
    """Return the channel that is nearest to the loudest one over the loud blocks."""
    powers = activity.powers[activity.is_loud()]
    return int((powers / powers.max(axis=1, keepdims=True)).mean(axis=0).argmax())


def _has_speech_in_the_centre(activity: ChannelActivity) -> bool:
    starts = np.arange(max(len(activity.powers) // CENTRE_BLOCKS, 1)) * CENTRE_BLOCKS
    loudest = np.maximum.reduceat(activity.powers, starts, axis=0)
    loudest = loudest[_is_loud(loudest)]
    return bool(np.all(loudest[:, 2] >= loudest.max(axis=1) * 10 ** (CENTRE_DB / 10)))


def _voices(audio: AudioStream, activity: ChannelActivity) -> dict[str, str]:
    """Return the warning that voices are on channels of their own, where they are."""
    if has_positions(audio):
        return {}
    count = len(activity.powers) // TURN_BLOCKS
    powers = activity.powers[: count * TURN_BLOCKS].reshape(count, TURN_BLOCKS, audio.channels).mean(axis=1)
    powers = powers[_is_loud(powers)] if count else powers
    if not len(powers):
        return {}
    ranked = np.sort(powers, axis=1)
    alone = ranked[:, -1] >= ranked[:, -2] * 10 ** (TURN_DB / 10)
    parts = np.bincount(powers.argmax(axis=1)[alone], minlength=audio.channels) / len(powers)
    speakers = np.flatnonzero(parts >= TURN_FRACTION)
    if len(speakers) < 2 or parts[speakers].sum() < TURNS_FRACTION:
        return {}
    shown = ", ".join(f"{_name_of(int(index), audio)} {parts[index]:.0%} of the time" for index in speakers)
    return {WarningCode.VOICES_ON_CHANNELS: f"Alone are heard: {shown}."}


def _only(index: int, channels: int) -> Weights:
    return tuple(float(i == index) for i in range(channels))


def _name_of(index: int, audio: AudioStream) -> str:
    if audio.channels == 2:
        return ("the left channel", "the right channel")[index]
    return f"channel {index + 1} of {audio.channels}"
