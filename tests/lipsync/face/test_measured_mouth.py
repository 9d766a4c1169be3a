"""The mouth of a finished file is measured where the tracks of its source have the face."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.lipsync.arrays import Float32
from heygem_daemon.lipsync.face import measured_mouth
from heygem_daemon.lipsync.face.image_view import Roi
from heygem_daemon.lipsync.face.measured_mouth import _box, _stretches, measure_openings
from heygem_daemon.lipsync.face_tracks import FaceTracks, TracksWriter
from heygem_daemon.lipsync.geometry.mouth_metrics import lip_opening
from heygem_daemon.media.frame import Box
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from tests.lipsync.conftest import Clip

NOISE = 0.01
"""Root mean square of the difference of two readings of one mouth, in distances of the eyes."""


def measured(path: Path, frames: list[int], tracks: FaceTracks, weights: Path) -> Float32:
    return measure_openings(probe(path), frames, tracks, weights, lambda _: None)


def test_the_openings_are_those_of_the_tracker_and_frames_without_a_face_have_none(
    clip: Clip, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[Box] = []
    cropped = VideoReader.cropped

    def noted(reader: VideoReader, box: Box, stop: int):  # type: ignore[no-untyped-def]
        boxes.append(box)
        return cropped(reader, box, stop)

    monkeypatch.setattr(VideoReader, "cropped", noted)
    done: list[int] = []
    ours = measure_openings(probe(clip.path), range(50), clip.tracks, weights, done.append)
    tracked = lip_opening(clip.tracks.landmarks(0, 50))
    assert np.flatnonzero(np.isnan(ours)).tolist() == list(clip.gap)
    assert np.sqrt(np.nanmean((ours - tracked) ** 2)) < NOISE
    assert done == list(range(1, 51))
    ((x0, y0, x1, y1),) = boxes
    assert (x1 - x0) * (y1 - y0) < 0.7 * 384 * 384, "only the part with the face is decoded"


def test_a_result_that_plays_its_source_backwards_is_measured_in_the_right_squares(clip: Clip, weights: Path, tmp_path: Path) -> None:
    backwards = tmp_path / "backwards.mp4"
    _convert(clip.path, backwards, "trim=end_frame=20,reverse")
    ours = measured(backwards, list(range(19, -1, -1)), clip.tracks, weights)
    tracked = lip_opening(clip.tracks.landmarks(0, 20))[::-1]
    assert np.sqrt(np.mean((ours - tracked) ** 2)) < NOISE


def test_a_face_at_another_place_is_not_the_one_that_was_drawn_on(clip: Clip, weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.mp4"
    _convert(clip.path, moved, "trim=end_frame=8,scroll=hpos=0.4")
    assert np.isnan(measured(moved, list(range(8)), clip.tracks, weights)).all()


def test_frames_that_show_no_face_in_their_square_are_tracked(clip: Clip, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = measured_mouth._read_opening, iter(range(50))

    def partly_blind(mesh: object, frame: object, region: object) -> float:
        return float("nan") if next(seen) in range(10, 16) else read(mesh, frame, region)  # type: ignore[arg-type]

    monkeypatch.setattr(measured_mouth, "_read_opening", partly_blind)
    ours = measured(clip.path, list(range(20)), clip.tracks, weights)
    assert np.sqrt(np.mean((ours - lip_opening(clip.tracks.landmarks(0, 20))) ** 2)) < NOISE


def test_where_the_source_has_no_face_nothing_is_read(weights: Path, tmp_path: Path, clip: Clip) -> None:
    with TracksWriter(tmp_path, size=(384, 384), frame_rate=Fraction(25)) as writer:
        for _ in range(5):
            writer.append(None, score=0.0, shot=0)
        tracks = writer.finish()
    missing = replace(probe(clip.path), path=tmp_path / "missing.mp4")
    assert np.isnan(measure_openings(missing, range(5), tracks, weights, lambda _: None)).all()
    assert measure_openings(missing, [], tracks, weights, lambda _: None).shape == (0,)


def test_the_tracker_begins_a_second_early_and_joins_what_is_near() -> None:
    assert list(_stretches([], Fraction(25))) == []
    assert list(_stretches([10, 11, 40, 60, 200], Fraction(25))) == [(0, 12), (15, 61), (175, 201)]


def test_the_part_of_the_frame_holds_every_square_and_has_even_sides() -> None:
    box = _box([Roi(x=100, y=90, size=60), Roi(x=141, y=99, size=80, angle=np.pi / 4)], (200, 300))
    assert box == (54, 26, 200, 172)
    assert _box([Roi(x=-500, y=10, size=40)], (200, 300)) == (0, 0, 2, 38)
    assert _box([], (200, 300)) is None


def _convert(source: Path, target: Path, filters: str) -> None:
    command = ("ffmpeg", "-v", "error", "-i", str(source), "-vf", filters, "-crf", "12", "-preset", "ultrafast", str(target))
    subprocess.run(command, check=True, timeout=60)
