"""Count the frames that show the mouth of the source instead of a drawn one, and refuse a result in which it speaks too much."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

from heygem_daemon.core.errors import error
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.lipsync.arrays import Bool
from heygem_daemon.lipsync.face_tracks import FaceTracks
from heygem_daemon.lipsync.imaging.visibility import FADE, faded_view, is_discontinuity
from heygem_daemon.lipsync.ports import MouthView, NotDriven
from heygem_daemon.media.reader import ping_pong

_NOTICED: Final = 0.05
"""Fraction of the frames not driven above which a warning is given."""
_EARLY_MARGIN: Final = 0.1
"""A result is refused before it is rendered only this far (0-1) from the limit to all of the speech: the count is not the final one."""
_WARNINGS: Final[Mapping[NotDriven, WarningCode]] = {
    NotDriven.NO_FACE: WarningCode.FRAMES_WITHOUT_FACE,
    NotDriven.TURNED: WarningCode.HEAD_TURNED,
    NotDriven.COVERED: WarningCode.MOUTH_COVERED,
}
_WORDS: Final[Mapping[NotDriven, str]] = {
    NotDriven.NO_FACE: "the presenter's face is not visible",
    NotDriven.TURNED: "the head is turned away",
    NotDriven.COVERED: "the mouth is covered",
}


@dataclass(kw_only=True)
class DrivenFrames:
    """Counts frames. frames, speech: all of them, and those in which somebody speaks; not_driven, mute: of these, the frames that are
    not driven, by reason."""

    frames: int = 0
    speech: int = 0
    not_driven: Counter[NotDriven] = field(default_factory=Counter)
    mute: Counter[NotDriven] = field(default_factory=Counter)

    def add(self, reason: NotDriven | None, *, is_speech: bool) -> None:
        """Count a frame; reason: why it is not driven, None where it is."""
        self.frames += 1
        self.speech += is_speech
        if reason is not None:
            self.not_driven[reason] += 1
            self.mute[reason] += is_speech

    @property
    def share(self) -> float:
        """The fraction of the frames that are not driven."""
        return round(self.not_driven.total() / max(1, self.frames), 4)

    def shares(self) -> dict[str, float]:
        """Return the fraction of all frames that each reason has, zeros included."""
        return {str(reason): round(self.not_driven[reason] / max(1, self.frames), 4) for reason in NotDriven}

    @property
    def share_of_speech(self) -> float:
        """The fraction of the speech that falls on frames not driven; of all frames, where nobody is heard speaking."""
        return self.mute.total() / self.speech if self.speech else self.not_driven.total() / max(1, self.frames)

    def warnings(self) -> dict[str, str]:
        """Return the warnings with their detail sentences: of every reason with more than 5 % of the frames, or of the main one where
        only all of them together have."""
        noticed = [reason for reason in NotDriven if self.not_driven[reason] > _NOTICED * self.frames]
        if not noticed and self.not_driven.total() > _NOTICED * self.frames:
            noticed = [self._main_reason(self.not_driven)]
        return {str(_WARNINGS[reason]): f"{self.not_driven[reason] / self.frames:.0%} of the frames." for reason in noticed}

    def refuse(self, limit: float, name: str, *, margin: float = 0.0) -> None:
        """Raise InputError (`too_few_frames_driven`) where more than `limit` (0-1) of the speech falls on frames not driven, and at least
        `margin` (0-1) of the way from there to all of it; a limit of 1 allows all. name: of the video.
        """
        share = self.share_of_speech
        if share > limit + margin * (1 - limit):
            reason = self._main_reason(self.mute if self.speech else self.not_driven)
            raise error("too_few_frames_driven", name=name, share=share, reason=_WORDS[reason], limit=limit)

    @staticmethod
    def _main_reason(counts: Counter[NotDriven]) -> NotDriven:
        return counts.most_common(1)[0][0]


@dataclass(frozen=True, kw_only=True, eq=False)
class EarlyCheck:
    """Refuses a result that is hopeless before it is rendered.

    name: of the video; limit: as in `DrivenFrames.refuse`; tracks: of the whole video; frames: number of the output frames; listen: returns
    whether somebody speaks in each of them, bool [frames]; None where that cannot be known yet: then nothing is refused.
    """

    name: str
    limit: float
    tracks: FaceTracks
    frames: int
    listen: Callable[[], Bool] | None

    def __call__(self, views: Sequence[MouthView]) -> None:
        """Raise InputError (`too_few_frames_driven`). views: of every source frame, as far as it is known.

        It listens only where many frames are not driven: that takes a sixth of the length of the recording (one core).
        """
        if self.limit >= 1 or self.listen is None:
            return
        if self._expected(views, repeat(True, self.frames)).share > self.limit / 2:
            self._expected(views, self.listen()).refuse(self.limit, self.name, margin=_EARLY_MARGIN)

    def _expected(self, views: Sequence[MouthView], speech: Iterable[bool]) -> DrivenFrames:
        shown = (ping_pong(position, self.tracks.frames) for position in range(self.frames))
        return expected_frames(views, shown, self.tracks, speech)


def expected_frames(views: Sequence[MouthView], shown: Iterable[int], tracks: FaceTracks, speech: Iterable[bool]) -> DrivenFrames:
    """Count the frames of a result before it is rendered.

    views: of every source frame; shown: the source frame of each output frame; speech: whether somebody speaks in each output frame.
    """
    counted = DrivenFrames()
    for view, is_speech in zip(_faded(views, shown, tracks), speech, strict=True):
        counted.add(view.not_driven, is_speech=bool(is_speech))
    return counted


def _faded(views: Sequence[MouthView], shown: Iterable[int], tracks: FaceTracks) -> Iterator[MouthView]:
    """Yield the view of each output frame with the ramps to and from every gap, as the renderers draw them."""
    past: deque[MouthView] = deque(maxlen=FADE)
    waiting: deque[MouthView] = deque()

    def emit(kept: int) -> Iterator[MouthView]:
        while len(waiting) > kept:
            yield faded_view(reversed(past), waiting)
            past.append(waiting.popleft())

    previous: int | None = None
    for index in shown:
        if previous is not None and is_discontinuity(tracks, previous, index):
            yield from emit(0)
            past.clear()
        previous = index
        waiting.append(views[index])
        yield from emit(FADE)
    yield from emit(0)
