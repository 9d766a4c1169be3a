"""Select the presenter among the faces of a video, at its end: one person, who may be in some of its shots only.

Until then the landmarks of all faces wait in a spool file; of each shot only its persons and some looks of them stay in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from heygem_daemon.lipsync.arrays import Float32, Image
from heygem_daemon.lipsync.face.likeness import Likeness
from heygem_daemon.lipsync.face.mesh import MARGIN, region_of
from heygem_daemon.lipsync.face.shape_motion import ShapeMotion
from heygem_daemon.lipsync.face.tracker import TrackedFace
from heygem_daemon.lipsync.face_tracks import POINTS, FaceSelection

_RECORD: Final = np.dtype([("frame", "<i8"), ("track", "<i4"), ("score", "<f4"), ("landmarks", "<f4", (POINTS, 3))])
_BLOCK: Final = 128
"""Records of the spool file that are read at once."""

_BRIEF: Final = 0.2
"""Who appears in less than this fraction of the frames of the longest track is a passer-by or an error of the detector."""

_SMALL: Final = 0.25
"""A face smaller than this fraction of the largest is in the background."""

_OFF_CENTRE_LOSS: Final = 0.5
"""Fraction of its prominence that a face in a corner of the frame loses."""

_NEAR: Final = 0.75
_SIZE_RATIO: Final = 0.5
"""Two tracks are at the same place when their centres are nearer than this fraction of the sum of their widths, and neither is wider
than twice the other."""


class Tracklet:
    """One track, or one person made of several, over a shot: when it was there, where, how large, how it moved, and its looks."""

    def __init__(self, tracks: Iterable[int] = ()) -> None:
        self.tracks = set(tracks)
        self.runs: list[tuple[int, int]] = []  # first and last frame
        self.frames, self.prominence, self.motion, self.likeness = 0, 0.0, ShapeMotion(), Likeness()
        self._x = self._y = self._width = 0.0

    def add(self, frame: int, landmarks: Float32, size: tuple[int, int], texture: Image | None = None) -> None:
        """Count one frame more. The prominence grows with area and nearness to the middle of the frame (`size`); texture: as
        `TrackedFace.texture`."""
        region = region_of(landmarks)
        width = region.size / MARGIN
        off = float(np.hypot(region.x - size[0] / 2, region.y - size[1] / 2) / np.hypot(size[0] / 2, size[1] / 2))
        if self.runs and self.runs[-1][1] == frame - 1:
            self.runs[-1] = (self.runs[-1][0], frame)
        else:
            self.runs.append((frame, frame))
        if (landmarks[:, :2] >= 0).all() and (landmarks[:, :2] < size).all():  # beyond the border landmarks are guesses, which wander
            self.motion.add(frame, landmarks)
            if texture is not None:
                self.likeness.add(landmarks, texture)
        self.frames += 1
        self.prominence += width * width * (1 - _OFF_CENTRE_LOSS * min(1.0, off))
        self._x, self._y, self._width = self._x + region.x, self._y + region.y, self._width + width

    @property
    def x(self) -> float:
        return self._x / self.frames

    @property
    def width(self) -> float:
        return self._width / self.frames

    def merge(self, other: "Tracklet") -> "Tracklet":
        """Return both as one person."""
        both = Tracklet(self.tracks | other.tracks)
        both.runs = sorted(self.runs + other.runs)
        both.frames, both.prominence = self.frames + other.frames, self.prominence + other.prominence
        both.motion, both.likeness = self.motion.merge(other.motion), self.likeness.merge(other.likeness)
        both._x, both._y, both._width = self._x + other._x, self._y + other._y, self._width + other._width
        return both

    def overlaps(self, other: "Tracklet") -> bool:
        """Return whether both were in one frame: then they are two persons."""
        mine, theirs = iter(self.runs), iter(other.runs)
        a, b = next(mine, None), next(theirs, None)
        while a and b:
            if a[0] <= b[1] and b[0] <= a[1]:
                return True
            if a[1] < b[1]:
                a = next(mine, None)
            else:
                b = next(theirs, None)
        return False

    def is_near(self, other: "Tracklet") -> bool:
        """Return whether both were at about the same place and size."""
        distance = np.hypot(self.x - other.x, (self._y / self.frames) - (other._y / other.frames))
        return bool(distance < _NEAR * (self.width + other.width)) and _SIZE_RATIO < self.width / other.width < 1 / _SIZE_RATIO


class VideoFaces:
    """The faces of a video: spooled frame by frame, chosen from at its end."""

    def __init__(self, spool: Path, *, size: tuple[int, int]) -> None:
        """spool: a file to write, its content is lost. size: width, height of the frames."""
        self._path, self._size = spool, size
        self._file = spool.open("wb")
        self._tracklets: dict[int, Tracklet] = {}
        self._shots: list[list[Tracklet]] = []
        self._frames = self._tracks = 0

    def add(self, faces: Iterable[TrackedFace]) -> None:
        """Take the next frame of the shot."""
        for face in faces:
            if face.track not in self._tracklets:
                self._tracklets[face.track] = Tracklet([self._tracks])  # in the next shot the same number may be another person
                self._tracks += 1
            tracklet = self._tracklets[face.track]
            tracklet.add(self._frames, face.landmarks, self._size, face.texture)
            record = (self._frames, *tracklet.tracks, face.score, face.landmarks)
            self._file.write(np.array([record], _RECORD).tobytes())
        self._frames += 1

    def end_shot(self) -> None:
        """Begin the next shot, in which the same numbers of tracks are other faces."""
        self._shots.append(_lasting_persons(_group_tracks(self._tracklets.values())))
        self._tracklets = {}

    def choose(self, selection: FaceSelection) -> Iterator[tuple[Float32 | None, float]]:
        """Yield landmarks (or None) and score of the selected face for every frame of the video; nothing can be added any more."""
        self.end_shot()
        self._file.close()
        chosen = _presenter_tracks(self._shots, selection, self._size)
        due = 0
        for frame, landmarks, score in self._read_spool(chosen):
            for _ in range(due, frame):
                yield None, 0.0
            yield landmarks, score
            due = frame + 1
        for _ in range(due, self._frames):
            yield None, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read_spool(self, tracks: set[int]) -> Iterator[tuple[int, Float32, float]]:
        with self._path.open("rb") as file:
            while len(block := np.fromfile(file, _RECORD, _BLOCK)):
                for record in block:
                    if int(record["track"]) in tracks:
                        yield int(record["frame"]), record["landmarks"], float(record["score"])


def chosen_tracks(tracklets: Sequence[Tracklet], selection: FaceSelection, size: tuple[int, int]) -> set[int]:
    """Return the tracks of the selected person of a shot; no two of them share a frame.

    Another person takes over only while the selected one is in no frame, and only if there for long and not surely somebody else: often
    it is the same presenter who came back at another place. A face that is still like a photo is the largest only where none moves.
    """
    return _presenter_tracks([_lasting_persons(_group_tracks(tracklets))], selection, size)


def _presenter_tracks(shots: Sequence[Sequence[Tracklet]], selection: FaceSelection, size: tuple[int, int]) -> set[int]:
    """Return the tracks of the presenter in all shots, each with its lasting persons: of those selected shot by shot the most prominent
    one over the video. A shot without the presenter has none."""
    candidates = [_candidates(persons, selection) for persons in shots]
    selected = [_select(persons, selection, size) if persons else None for persons in candidates]
    cast = _cast([person for person in selected if person])
    tracks: set[int] = set()
    for persons, person in zip(candidates, selected, strict=True):
        if person and (found := person if cast.is_presenter(person) else cast.presenter_among(persons)):
            tracks |= _with_returns(found, persons)
    return tracks


class _Cast:
    """The presenter of a video, and who else is selected in some of its shots."""

    def __init__(self, persons: Sequence[Likeness]) -> None:
        """persons: the presenter is the first."""
        self._presenter = persons[0] if persons else Likeness()
        self._others = [person for person in persons if person.differs(self._presenter)]

    def is_presenter(self, person: Tracklet) -> bool:
        """Return whether this is the presenter: where nobody else is in the video, also in doubt; else who is more like the presenter."""
        if not self._others:
            return True
        looks = person.likeness
        if not looks.is_known or looks.differs(self._presenter):
            return False
        return looks.distance(self._presenter) <= min(looks.distance(other) for other in self._others)

    def presenter_among(self, persons: Sequence[Tracklet]) -> Tracklet | None:
        """Return the presenter among the persons of a shot, None where it is none of them."""
        found = [person for person in persons if self.is_presenter(person)]
        return min(found, key=lambda person: person.likeness.distance(self._presenter), default=None)


def _candidates(persons: Sequence[Tracklet], selection: FaceSelection) -> list[Tracklet]:
    """Return the persons of a shot that may be the presenter."""
    alive = [person for person in persons if person.motion.is_alive] if selection == "largest" else []
    return _large_persons(alive or list(persons))


def _cast(selected: Sequence[Tracklet]) -> _Cast:
    """Return the persons who are selected in the shots of a video; the most prominent one over all of them is the presenter."""
    looks: list[Likeness] = []
    prominence: list[float] = []
    for person in sorted(selected, key=lambda person: -person.prominence):
        nearest = min(range(len(looks)), key=lambda k: looks[k].distance(person.likeness), default=None)
        if nearest is None or looks[nearest].differs(person.likeness):
            looks.append(person.likeness)
            prominence.append(person.prominence)
        else:
            looks[nearest] = looks[nearest].merge(person.likeness)
            prominence[nearest] += person.prominence
    return _Cast([looks[k] for k in np.argsort(-np.array(prominence), kind="stable")])


def _with_returns(chosen: Tracklet, persons: Sequence[Tracklet]) -> set[int]:
    """Return the tracks of the chosen person of a shot, and of those who take over while it is in no frame."""
    for person in sorted(persons, key=lambda person: -person.prominence):
        if person is not chosen and not person.overlaps(chosen) and not person.likeness.differs(chosen.likeness):
            chosen = chosen.merge(person)
    return chosen.tracks


def persons_by_place(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """Return the persons of a shot that can be selected, from left to right: their places in this list are the numbers of a selection."""
    return sorted(_large_persons(_lasting_persons(_group_tracks(tracklets))), key=lambda person: person.x)


def _group_tracks(tracklets: Iterable[Tracklet]) -> list[Tracklet]:
    """Return the persons: tracks that were never in one frame together and were at the same place are joined."""
    persons: list[Tracklet] = []
    for track in sorted(tracklets, key=lambda track: -track.prominence):
        match = next((i for i, person in enumerate(persons) if _is_same(person, track)), None)
        if match is None:
            persons.append(track)
        else:
            persons[match] = persons[match].merge(track)
    return persons


def _is_same(person: Tracklet, track: Tracklet) -> bool:
    return person.is_near(track) and not person.overlaps(track) and not person.likeness.differs(track.likeness)


def _lasting_persons(persons: list[Tracklet]) -> list[Tracklet]:
    """Return the persons that are there for long enough."""
    longest = max((person.frames for person in persons), default=0)
    return [person for person in persons if person.frames >= _BRIEF * longest]


def _large_persons(persons: list[Tracklet]) -> list[Tracklet]:
    """Return the persons that are large enough."""
    widest = max((person.width for person in persons), default=0.0)
    return [person for person in persons if person.width >= _SMALL * widest]


def _select(persons: Sequence[Tracklet], selection: FaceSelection, size: tuple[int, int]) -> Tracklet:
    by_place = sorted(persons, key=lambda person: person.x)
    match selection:
        case "left":
            return by_place[0]
        case "right":
            return by_place[-1]
        case "center":
            return min(persons, key=lambda person: abs(person.x - size[0] / 2))
        case int():
            return by_place[min(max(0, selection), len(by_place) - 1)]
        case "largest":
            return max(persons, key=lambda person: person.prominence)
