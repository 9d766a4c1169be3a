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
    HEADER_SIZE_WRONG = "header_size_wrong"
    JOINED_FILES = "joined_files"
    TIME_STAMP_GAP = "time_stamp_gap"
    TRANSPARENCY_LOST = "transparency_lost"
    ANIMATION_NOT_PLAYED = "animation_not_played"
    AUDIO_TRACK_CHOSEN = "audio_track_chosen"
    CHANNELS_CANCEL = "channels_cancel"
    CHANNELS_NOT_KEPT = "channels_not_kept"
    VOICES_ON_CHANNELS = "voices_on_channels"
    LABEL_WITHOUT_FONT = "label_without_font"
    FRAMES_WITHOUT_FACE = "frames_without_face"
    HEAD_TURNED = "head_turned"
    MOUTH_COVERED = "mouth_covered"
    OUT_OF_SYNC = "out_of_sync"
    WEAK_MOUTH = "weak_mouth"
    MISSED_CLOSURES = "missed_closures"
    DOUBTFUL_MOUTH = "doubtful_mouth"
    SCRIPT_MISMATCH = "script_mismatch"
    SCRIPT_TOO_LONG = "script_too_long"
    SCRIPT_UNREADABLE = "script_unreadable"
    SCRIPT_LANGUAGE_UNKNOWN = "script_language_unknown"
    SCRIPT_WITHOUT_ESPEAK = "script_without_espeak"
    FILE_IGNORED = "file_ignored"
    TRIAL = "trial"
    PRIORITY_LOWERED = "priority_lowered"
    REQUEST_REFUSED = "request_refused"


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
    WarningCode.ANIMATION_NOT_PLAYED: WarningSpec(
        message="The animation was not played; its first frame was used as a portrait.",
        hint="If it should move, export it as MP4 (H.264) and drop the folder again.",
    ),
    WarningCode.TRANSPARENCY_LOST: WarningSpec(
        message="Parts of the video are transparent; the result has a background of one colour there.",
        hint='Choose its colour in job.toml, for example background = "#00ff00".',
    ),
    WarningCode.HEADER_SIZE_WRONG: WarningSpec(
        message="The file's header declares another length than the file has, as streaming programs write it; it was read to its end.",
        hint="Check that the result ends where it should; if something is missing, copy or export the file again.",
    ),
    WarningCode.JOINED_FILES: WarningSpec(
        message="The file consists of several files that were appended to one another.",
        hint="Check the result where they meet; join files with an editor (or ffmpeg) instead of appending them.",
    ),
    WarningCode.TIME_STAMP_GAP: WarningSpec(
        message="The time stamps of the video jump over a part in which there are no frames; that part was left out.",
        hint="Watch the result where the image jumps; export the video again if something is missing.",
    ),
    WarningCode.AUDIO_TRACK_CHOSEN: WarningSpec(
        message="The recording has several audio tracks, and none of them is marked as the one to play.",
        hint="Where another one should be spoken, give its number in job.toml: track = 1, 2 ...",
    ),
    WarningCode.CHANNELS_CANCEL: WarningSpec(
        message="The channels of the recording cancel each other: on a telephone or any other mono device the voice disappears.",
        hint="Correct the polarity of one channel (or a cable) and record or export again; the result keeps the audio as it is.",
    ),
    WarningCode.CHANNELS_NOT_KEPT: WarningSpec(
        message="The result has stereo audio: the channels of the recording cannot be kept in an MP4 file.",
        hint="Use at most 6 channels, or a usual layout such as 5.1 or 7.1, or take the audio from the recording in an editor.",
    ),
    WarningCode.VOICES_ON_CHANNELS: WarningSpec(
        message="Two people seem to speak, each on a channel of the recording; the mouth follows both.",
        hint='To follow one of them, name the channel in job.toml, for example channel = "left".',
    ),
    WarningCode.LABEL_WITHOUT_FONT: WarningSpec(
        message="The visible label could not be written into the image, because the server has no font for it.",
        hint="Ask the administrator to install a font (for example the package fonts-dejavu-core), then drop the folder again.",
    ),
    WarningCode.FRAMES_WITHOUT_FACE: WarningSpec(
        message="In some frames the presenter's face was not found; what they show is the original video.",
        hint="Look at the result where the presenter leaves the image or somebody else is shown; "
        "use a part of the video in which the presenter's face is always visible.",
    ),
    WarningCode.HEAD_TURNED: WarningSpec(
        message="In some frames the head is turned away too far; the mouth there is the one of the original video, with other words.",
        hint="Look at the result where the presenter turns away; use a video in which the presenter faces the camera.",
    ),
    WarningCode.MOUTH_COVERED: WarningSpec(
        message="In some frames something covers the mouth (a mask, a hand, a microphone); they show the original video.",
        hint="Look at the result there; use a video in which the mouth is never covered.",
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
    WarningCode.SCRIPT_TOO_LONG: WarningSpec(
        message="The script has far more words than can be spoken in the recording; it was ignored.",
        hint="Put only the words of this very recording into its text file, or remove the file.",
    ),
    WarningCode.SCRIPT_UNREADABLE: WarningSpec(
        message="The script could not be read as text; it was ignored.",
        hint="Save it as plain text in UTF-8 (of at most one megabyte), as subtitles (srt, vtt) or as docx, odt or rtf, "
        "and drop the folder again.",
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
    WarningCode.TRIAL: WarningSpec(
        message="This is a trial: only the beginning was rendered.",
        hint="Drop the folder again without first_seconds in job.toml to get all of it.",
    ),
    WarningCode.PRIORITY_LOWERED: WarningSpec(
        message="The job asked for a higher priority than users of the share may give; it has the highest one that they may.",
        hint="Ask the administrator where it is urgent.",
    ),
    WarningCode.REQUEST_REFUSED: WarningSpec(
        message="Somebody asked for something that only another may do with this job; it was not done.",
        hint="Ask who dropped the folder, or the administrator.",
    ),
}


def describe_warning(code: str, detail: str = "") -> str:
    """Return the sentence, the detail, the hint and the code of a warning; of one that this version does not know, code and detail."""
    spec = WARNINGS.get(code)
    words = [code, detail] if spec is None else [spec.message, detail, spec.hint, f"({code})"]
    return " ".join(word for word in words if word)
