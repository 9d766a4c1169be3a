"""Name what a drop holds and its job does not use: as warnings of the job, and in the errors of a drop without usable files.

What looks like media is never passed over in silence; documents beside media are (core.file_types).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from heygem_daemon.core.file_types import ACCEPTED_AUDIO, ACCEPTED_VIDEO, FileType, description, suffix_of, type_of
from heygem_daemon.core.job import JobWarning
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.warning_codes import WarningCode

VIDEOS: Final = "videos"
AUDIOS: Final = "audios"

MAX_WARNINGS: Final = 20
"""Files named one by one; the others are counted."""
_NAMES_IN_SENTENCE: Final = 3
_MEDIA: Final = frozenset({FileType.AUDIO, FileType.VIDEO, FileType.STILL, FileType.UNSUPPORTED})

_MOVE_INTO_VIDEOS: Final = "If it shows a presenter, move it into videos/ and drop the folder again."
_PUT_DIRECTLY: Final = "Put what belongs to the job directly into videos/ (or audios/) and drop the folder again."


@dataclass(frozen=True, kw_only=True)
class UnusedFile:
    """A file, or all media of a folder, that no item is made from. reason: words that follow "it was not used:". is_media: whether a
    warning must name it beside a job that can be made."""

    name: str
    reason: str
    hint: str
    is_media: bool = True

    @property
    def warning(self) -> JobWarning:
        return JobWarning(code=WarningCode.FILE_IGNORED, message=f"{self.name} was not used: {self.reason}.", hint=self.hint)


def unused_files(paths: Iterable[str], *, used: Collection[str], empty: Collection[str]) -> tuple[UnusedFile, ...]:
    """Return what is not used of the files of a drop. used: the paths of its recordings, videos and scripts. empty: files of 0 bytes."""
    found: list[UnusedFile] = []
    folders: dict[str, list[str]] = {}
    for path in sorted(path for path in paths if path and path not in used):
        folder, _, _ = path.rpartition("/")
        if folder and folder.casefold() not in {VIDEOS, AUDIOS}:
            folders.setdefault(folder, []).append(path)
        elif (each := _unused_file(path, is_empty=path in empty)) is not None:
            found.append(each)
    return (*found, *(each for folder, inside in folders.items() if (each := _unused_folder(folder, inside)) is not None))


def warnings(unused: Sequence[UnusedFile]) -> tuple[JobWarning, ...]:
    """Return a warning for each file or folder that looks like media, and one that counts those beyond MAX_WARNINGS."""
    media = [each.warning for each in unused if each.is_media]
    rest = len(media) - MAX_WARNINGS
    if rest <= 0:
        return tuple(media)
    more = JobWarning(code=WarningCode.FILE_IGNORED, message=f"{rest} more files or folders were not used.", hint=_PUT_DIRECTLY)
    return (*media[:MAX_WARNINGS], more)


def sentence(unused: Sequence[UnusedFile]) -> str:
    """Return " Found, but not usable: ..." for an error, "" where there is nothing to name."""
    names = [f"{each.name} ({each.reason})" for each in unused]
    return f" Found, but not usable: {_enumerate(names)}." if names else ""


def _unused_file(path: str, *, is_empty: bool) -> UnusedFile | None:
    """Return a file at the top of the drop, or directly in videos/ or audios/, as an unused one; None for a document."""
    file_type, folder = type_of(path), path.rpartition("/")[0].casefold()
    if file_type is FileType.SIDECAR:
        return None
    reason, hint = _reason(path, file_type, folder)
    if is_empty:
        reason, hint = "it is empty", "Copy the file again and wait until the copy has finished."
    return UnusedFile(name=escape_name(path), reason=reason, hint=hint, is_media=bool(folder) or file_type in _MEDIA)


def _reason(path: str, file_type: FileType, folder: str) -> tuple[str, str]:
    accepted = f"Accepted in audios/: {ACCEPTED_AUDIO}." if folder == AUDIOS else f"Accepted in videos/: {ACCEPTED_VIDEO}."
    if file_type in {FileType.UNSUPPORTED, FileType.INDIRECT}:
        return f"it is {description(path)}", accepted
    if file_type is FileType.UNKNOWN:
        return f"its type {escape_name(suffix_of(path))} is unknown", accepted
    if folder == AUDIOS:
        return "it has no audio", _MOVE_INTO_VIDEOS
    if folder == VIDEOS:
        return "it lies in videos/", "Put the recording beside the videos/ folder and drop the folder again."
    return "it lies beside videos/, not in it", _MOVE_INTO_VIDEOS


def _unused_folder(folder: str, paths: Sequence[str]) -> UnusedFile | None:
    """Return the media in a folder that is not read; None where there are none."""
    names = [escape_name(path.rpartition("/")[2]) for path in paths if type_of(path) in _MEDIA]
    if not names:
        return None
    is_below = folder.partition("/")[0].casefold() in {VIDEOS, AUDIOS}
    reason = "folders inside videos/ and audios/ are not read" if is_below else "only the folders videos/ and audios/ are read"
    return UnusedFile(name=f"{escape_name(folder)}/ with {_enumerate(names)}", reason=reason, hint=_PUT_DIRECTLY)


def _enumerate(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES_IN_SENTENCE
    return ", ".join(names[:_NAMES_IN_SENTENCE]) + (f" and {rest} more" if rest > 0 else "")
