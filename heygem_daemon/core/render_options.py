"""How a result is made: the options that travel whole from the configuration and a drop's job.toml to the render session."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, Self, get_args

Fit = Literal["audio", "video"]
Channels = Literal["stereo", "keep"]

FITS: Final[tuple[str, ...]] = get_args(Fit)
CHANNELS: Final[tuple[str, ...]] = get_args(Channels)
FACES: Final = ("largest", "left", "right", "center")
BEST_QUALITY: Final = 0
WORST_QUALITY: Final = 51
"""x264's range of the constant rate factor for 8-bit video; smaller is better and bigger."""


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """The options of one result; what is given here is in force where neither the configuration nor the drop names another value.

    engine: see lipsync.engines. fit: "audio" makes the result as long as the recording, "video" as long as the video. face: one of FACES,
    or a number counted from the left. quality: x264's constant rate factor. label: write a visible label into the image. explain: also
    write a diagnostic image. track: audio track of the recording, counted from 1; None: see media.audio_tracks. channel: of this track,
    that is spoken: "left", "right", "mix" or a number counted from 1; None: the mix that has the speech. channels: "stereo" writes more
    than two channels as two, "keep" as they are. background: "#rrggbb", what transparent pixels become. text: the words of the recording;
    where it is None, a script file may hold them. language: of these words, None = detect it. undriven_limit: the largest part of the
    speech (0-1) that may fall on frames whose mouth is not drawn; 1 allows all. first_seconds: a trial, only so much of the beginning is
    rendered; None: all of it.
    """

    engine: str = "rewrite"
    fit: Fit = "audio"
    face: str = "largest"
    quality: int = 16
    label: bool = False
    explain: bool = False
    track: int | None = None
    channel: str | None = None
    channels: Channels = "stereo"
    background: str = "#000000"
    text: str | None = None
    language: str | None = None
    undriven_limit: float = 0.5
    first_seconds: float | None = None

    def overridden_by(self, wanted: object) -> Self:
        """Return these options with those that `wanted` names: its attributes of the same names that are there and not None."""
        values: dict[str, Any] = {field.name: getattr(wanted, field.name, None) for field in fields(self)}
        return replace(self, **{name: value for name, value in values.items() if value is not None})


DEFAULT_OPTIONS: Final = RenderOptions()
