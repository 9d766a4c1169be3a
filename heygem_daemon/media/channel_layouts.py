"""What is known of the channels of an audio track before it is decoded: their positions, the usual mix, what AAC can keep."""

from collections.abc import Mapping, Sequence
from typing import Final

from heygem_daemon.core.render_options import Channels
from heygem_daemon.media.types import AudioStream

Weights = tuple[float, ...]

CENTRED: Final = frozenset(
    {"3.0", "3.1", "4.0", "4.1", "5.0", "5.0(side)", "5.1", "5.1(side)", "6.0", "hexagonal", "6.1", "6.1(back)", "7.0", "7.0(front)"}
    | {"7.1", "7.1(wide)", "7.1(wide-side)", "octagonal"}
)
"""ffmpeg's names of the layouts that begin with front left, front right and centre; a low-frequency channel is the next."""
UNCENTRED: Final = frozenset({"2.1", "3.0(back)", "quad", "quad(side)", "6.0(front)", "6.1(front)"})
"""Those that begin with front left and right only; a low-frequency channel is the next."""
_FRONT, _CENTRE, _LOW, _OTHER = 2**-0.5, 1.0, 0.0, 0.5
"""ffmpeg's weights of a mono mix, before they are divided by their sum (libswresample, `auto_matrix`)."""

KEPT: Final[Mapping[str, str]] = {
    **{name: name for name in ("2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "5.0", "5.1", "6.0(front)", "7.1")},
    "5.0(side)": "5.0",
    "5.1(side)": "5.1",
}
"""Layout of a recording -> layout of the AAC track that keeps its channels: what ffmpeg writes and reads back with its positions."""
KEPT_WITHOUT_POSITIONS: Final[Mapping[int, str]] = {3: "3.0", 4: "quad", 5: "5.0", 6: "6.0(front)"}
"""Number of channels without positions -> a layout that keeps them: one without a low-frequency channel, of which AAC keeps little."""


def usual_mix(audio: AudioStream) -> Weights:
    """Return the weights of the mono mix: of a layout with positions those of ffmpeg, else the mean of all channels. They add up to 1."""
    if not has_positions(audio):
        return normalised([1.0] * audio.channels)
    front = [_FRONT, _FRONT, _CENTRE] if audio.layout in CENTRED else [_FRONT, _FRONT]
    low = [_LOW] if ".1" in audio.layout else []
    return normalised([*front, *low, *[_OTHER] * audio.channels][: audio.channels])


def normalised(weights: Sequence[float]) -> Weights:
    """Return the weights divided by their sum; of weights that are all 0, as they are."""
    total = sum(weights) or 1.0
    return tuple(weight / total for weight in weights)


def channel_index(wanted: str, audio: AudioStream) -> int | None:
    """Return the index of "left", "right" or a number from 1; None for "mix". Raises IndexError for a channel that the track lacks."""
    if wanted == "mix":
        return None
    number = {"left": 1, "right": 2}.get(wanted) or int(wanted)
    if not 1 <= number <= audio.channels:
        raise IndexError(wanted)
    return number - 1


def has_positions(audio: AudioStream) -> bool:
    """Return whether more than two channels have a layout that ffmpeg can mix."""
    return audio.layout in CENTRED | UNCENTRED


def is_ordinary(audio: AudioStream) -> bool:
    """Return whether ffmpeg can mix the channels: mono, stereo, or more with positions. The others (rear left and right, front left and
    low-frequency, nine of anything) are numbers."""
    return audio.channels == 1 or (audio.channels == 2 and audio.layout in {"", "stereo", "downmix"}) or has_positions(audio)


def result_layout(audio: AudioStream, channels: Channels) -> str:
    """Return the layout of the audio track of the result, by ffmpeg's name."""
    if audio.channels <= 2:
        return ("mono", "stereo")[audio.channels - 1]
    return (kept_layout(audio) or "stereo") if channels == "keep" else "stereo"


def kept_layout(audio: AudioStream) -> str | None:
    """Return the layout in which AAC keeps more than two channels, None where it cannot."""
    return KEPT.get(audio.layout) if has_positions(audio) else KEPT_WITHOUT_POSITIONS.get(audio.channels)


def channel_count(layout: str) -> int:
    """Return the number of channels of a layout of `result_layout`."""
    if layout in {"mono", "stereo"}:
        return ("mono", "stereo").index(layout) + 1
    return 4 if layout.startswith("quad") else sum(int(part) for part in layout[:3].split("."))


def result_weights(audio: AudioStream) -> Weights:
    """Return the weights with which more than two channels are mixed into both channels of a result; () where ffmpeg has a better mix."""
    return audio.downmix or (() if has_positions(audio) else usual_mix(audio))
