"""Name what a drop holds and its job does not use: as warnings of the job, and in the errors of a drop without usable files.

What looks like media is never passed over in silence; documents beside media are (core.file_types).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from heygem_daemon.core.file_types import ACCEPTED_AUDIO, ACCEPTED_VIDEO, FileType, description, suffix_of, type_of
from heygem_daemon.core.job import JobWarning
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.shorten import shortened
from heygem_daemon.core.warning_codes import WarningCode

T = TypeVar("T")

VIDEOS: Final = "videos"
AUDIOS: Final = "audios"

MAX_WARNINGS: Final = 20
"""Files named one by one; the others are counted."""
MAX_SHOWN: Final = 300
"""Characters of a path that are shown: any name of text, but not eight folders of 255 bytes each."""
_NAMES_IN_SENTENCE: Final = 3
_MEDIA: Final = frozenset({FileType.AUDIO, FileType.VIDEO, FileType.STILL, FileType.UNSUPPORTED})

_MOVE_INTO_VIDEOS: Final = "If it shows a presenter, move it into videos/ and drop the folder again."
_PUT_DIRECTLY: Final = "Put what belongs to the job directly into videos/ (or audios/) and drop the folder again."


@dataclass(frozen=True, kw_only=True)
class UnusedFile:
    """A file, or all media of a folder, that no item is made from. path: in the drop, as the file system gives it. inside: the names of
    the media in a folder, of which some are shown. reason: words that follow "it was not used:". is_media: whether a warning must name it
    beside a job that can be made."""

    path: str
    inside: tuple[str, ...] = ()
    reason: str
    hint: str
    is_media: bool = True

    @property
    def name(self) -> str:
        """Its name to be shown."""
        shown = shortened(escape_name(self.path), MAX_SHOWN)
        return f"{shown}/ with {_enumerate(self.inside, _shown_name)}" if self.inside else shown

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
    media = [each for each in unused if each.is_media]
    named = tuple(each.warning for each in media[:MAX_WARNINGS])
    rest = len(media) - MAX_WARNINGS
    if rest <= 0:
        return named
    more = JobWarning(code=WarningCode.FILE_IGNORED, message=f"{rest} more files or folders were not used.", hint=_PUT_DIRECTLY)
    return (*named, more)


def odd_files(paths: Iterable[str]) -> tuple[JobWarning, ...]:
    """Return a warning for each of some files that would be used if they were files: links, pipes and the like."""
    found = [
        UnusedFile(path=path, reason="it is a link or no ordinary file", hint="Copy the file itself into the folder.") for path in paths
    ]
    return warnings(sorted(found, key=lambda each: each.path))


def unfinished_files(paths: Iterable[str]) -> tuple[JobWarning, ...]:
    """Return a warning for each of some files that are left aside for their names."""
    hint = "If it is complete, give it a name without this ending and drop the folder again."
    return warnings([UnusedFile(path=path, reason="it has the name of a copy that is not finished", hint=hint) for path in paths])


def sentence(unused: Sequence[UnusedFile]) -> str:
    """Return " Found, but not usable: ..." for an error, "" where there is nothing to name."""
    return f" Found, but not usable: {_enumerate(unused, lambda each: f'{each.name} ({each.reason})')}." if unused else ""


def _unused_file(path: str, *, is_empty: bool) -> UnusedFile | None:
    """Return a file at the top of the drop, or directly in videos/ or audios/, as an unused one; None for a document."""
    file_type, folder = type_of(path), path.rpartition("/")[0].casefold()
    if file_type is FileType.SIDECAR:
        return None
    reason, hint = _reason(path, file_type, folder)
    if is_empty:
        reason, hint = "it is empty", "Copy the file again and wait until the copy has finished."
    return UnusedFile(path=path, reason=reason, hint=hint, is_media=bool(folder) or file_type in _MEDIA)


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
    names = tuple(path.rpartition("/")[2] for path in paths if type_of(path) in _MEDIA)
    if not names:
        return None
    is_below = folder.partition("/")[0].casefold() in {VIDEOS, AUDIOS}
    reason = "folders inside videos/ and audios/ are not read" if is_below else "only the folders videos/ and audios/ are read"
    return UnusedFile(path=folder, inside=names, reason=reason, hint=_PUT_DIRECTLY)


def _shown_name(name: str) -> str:
    return shortened(escape_name(name), MAX_SHOWN)


def _enumerate(found: Sequence[T], show: Callable[[T], str]) -> str:
    rest = len(found) - _NAMES_IN_SENTENCE
    return ", ".join(show(each) for each in found[:_NAMES_IN_SENTENCE]) + (f" and {rest} more" if rest > 0 else "")
