"""The table of warnings: each stands beside a finished result that somebody should look at.

A code is stable: scripts may match on it. The sentence is written for a presenter, the hint names what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class WarningCode(StrEnum):
    """The codes of all warnings."""

    HDR_TONE_MAPPED = "hdr_tone_mapped"
    VARIABLE_FRAME_RATE = "variable_frame_rate"
    LABEL_WITHOUT_FONT = "label_without_font"
    FRAMES_WITHOUT_FACE = "frames_without_face"
    OUT_OF_SYNC = "out_of_sync"
    WEAK_MOUTH = "weak_mouth"
    MISSED_CLOSURES = "missed_closures"
    DOUBTFUL_MOUTH = "doubtful_mouth"
    SCRIPT_MISMATCH = "script_mismatch"
    SCRIPT_UNREADABLE = "script_unreadable"
    SCRIPT_LANGUAGE_UNKNOWN = "script_language_unknown"
    SCRIPT_WITHOUT_ESPEAK = "script_without_espeak"
    FILE_IGNORED = "file_ignored"


@dataclass(frozen=True, kw_only=True)
class WarningSpec:
    """One row of the table: the sentence and the hint of a warning."""

    message: str
    hint: str


WARNINGS: Final[Mapping[str, WarningSpec]] = {
    WarningCode.HDR_TONE_MAPPED: WarningSpec(
        message="The video has HDR colours; they were converted to standard ones (BT.709).",
        hint="Compare the colours with the original; if they disturb you, export the video without HDR and drop it again.",
    ),
    WarningCode.VARIABLE_FRAME_RATE: WarningSpec(
        message="The video has a variable frame rate, as phones and screen recorders write it; the result has a constant one.",
        hint="If movements stutter, convert the video to a constant frame rate first.",
    ),
    WarningCode.LABEL_WITHOUT_FONT: WarningSpec(
        message="The visible label could not be written into the image, because the server has no font for it.",
        hint="Ask the administrator to install a font (for example the package fonts-dejavu-core), then drop the folder again.",
    ),
    WarningCode.FRAMES_WITHOUT_FACE: WarningSpec(
        message="In some frames no face could be used; the mouth there is the one of the original video.",
        hint="Look at the result where the presenter turns away, leaves the image or covers the mouth.",
    ),
    WarningCode.OUT_OF_SYNC: WarningSpec(
        message="The mouth moves noticeably earlier or later than it should.",
        hint="Watch the result; a video with a clear, frontal view of the face helps. `explain = true` in job.toml shows where it fails.",
    ),
    WarningCode.WEAK_MOUTH: WarningSpec(
        message="The mouth in the result follows its target only roughly.",
        hint="Watch the result; use a video in which the mouth is larger, sharper and uncovered, and in which the presenter speaks.",
    ),
    WarningCode.MISSED_CLOSURES: WarningSpec(
        message="The lips often stay open where they should meet (p, b, m and pauses).",
        hint="Watch the result; use a video in which the presenter closes the lips now and then.",
    ),
    WarningCode.DOUBTFUL_MOUTH: WarningSpec(
        message="The mouth that the Wav2Lip checkpoint drew does not move with the speech.",
        hint="Watch the result: with the engine wav2lip it shows that mouth, with wav2lip+atlas the server's own driver spoke instead. "
        "A clear, frontal view of the face and a recording without noise help; ask the administrator whether the checkpoint is right.",
    ),
    WarningCode.SCRIPT_MISMATCH: WarningSpec(
        message="The script does not match the recording; it was ignored.",
        hint="Put the words of this very recording into its text file, in the language that is spoken, or remove the file.",
    ),
    WarningCode.SCRIPT_UNREADABLE: WarningSpec(
        message="The script could not be read as text; it was ignored.",
        hint="Save it as a plain text file in UTF-8 (or UTF-16), of at most one megabyte, and drop the folder again.",
    ),
    WarningCode.SCRIPT_LANGUAGE_UNKNOWN: WarningSpec(
        message="The language of the script is unknown to the server; the script was ignored.",
        hint='Name the language in job.toml, for example language = "de". `espeak-ng --voices` on the server lists those it knows.',
    ),
    WarningCode.SCRIPT_WITHOUT_ESPEAK: WarningSpec(
        message="The server could not turn the script into phonemes, because espeak-ng is missing there or failed; the script was ignored.",
        hint="Ask the administrator to install the package espeak-ng, then drop the folder again.",
    ),
    WarningCode.FILE_IGNORED: WarningSpec(
        message="A file or folder of the drop was not used.",
        hint="Where it belongs to the job, put it directly into videos/ (or audios/), in an accepted type, and drop the folder again.",
    ),
}


def describe_warning(code: str, detail: str = "") -> str:
    """Return the sentence, the detail, the hint and the code of a warning; of an unknown one, from another version, the code and the detail."""
    spec = WARNINGS.get(code)
    words = [code, detail] if spec is None else [spec.message, detail, spec.hint, f"({code})"]
    return " ".join(word for word in words if word)
