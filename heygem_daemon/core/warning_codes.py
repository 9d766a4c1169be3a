"""Every warning that may stand beside a finished result: it was made, and somebody should look at it.

A code is stable: scripts may match on it. The sentence is written for a presenter, the hint says what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class WarningCode(StrEnum):
    HDR_TONE_MAPPED = "hdr_tone_mapped"
    VARIABLE_FRAME_RATE = "variable_frame_rate"
    LABEL_WITHOUT_FONT = "label_without_font"
    FRAMES_WITHOUT_FACE = "frames_without_face"
    OUT_OF_SYNC = "out_of_sync"
    WEAK_MOUTH = "weak_mouth"
    MISSED_CLOSURES = "missed_closures"


@dataclass(frozen=True, kw_only=True)
class WarningSpec:
    message: str
    hint: str


WARNINGS: Final[Mapping[WarningCode, WarningSpec]] = {
    WarningCode.HDR_TONE_MAPPED: WarningSpec(
        message="The video has HDR colours; they were converted to standard ones (BT.709).",
        hint="Compare the colours with the original; if they disturb you, export the video without HDR and drop it again.",
    ),
    WarningCode.VARIABLE_FRAME_RATE: WarningSpec(
        message="The video has a variable frame rate, as phones and screen recorders write it; the result has a constant one.",
        hint="If movements stutter, convert the video to a constant frame rate first.",
    ),
    WarningCode.LABEL_WITHOUT_FONT: WarningSpec(
        message="The visible label could not be written into the picture, because the server has no font for it.",
        hint="Ask the administrator to install a font (for example the package fonts-dejavu-core), then drop the folder again.",
    ),
    WarningCode.FRAMES_WITHOUT_FACE: WarningSpec(
        message="In some frames no face could be used; the mouth there is the one of the original video.",
        hint="Look at the result where the presenter turns away, leaves the picture or covers the mouth.",
    ),
    WarningCode.OUT_OF_SYNC: WarningSpec(
        message="The mouth moves noticeably earlier or later than it should.",
        hint="Watch the result; a video with a clear, frontal view of the face helps. `explain = true` in job.toml shows where it fails.",
    ),
    WarningCode.WEAK_MOUTH: WarningSpec(
        message="The mouth in the result follows what was asked of it only roughly.",
        hint="Watch the result; use a video in which the mouth is larger, sharper and uncovered, and in which the presenter speaks.",
    ),
    WarningCode.MISSED_CLOSURES: WarningSpec(
        message="The lips often stay open where they should meet (p, b, m and pauses).",
        hint="Watch the result; use a video in which the presenter closes the lips now and then.",
    ),
}
