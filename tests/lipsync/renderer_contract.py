"""The contract of every Renderer. An adapter's test module subclasses `RendererContract` and gives it a `stage`."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.lipsync.ports import NotDriven, RenderedFrame, Renderer
from heygem_daemon.media.frame import Box, Frame

LOOK_AHEAD = 8
"""Frames that a renderer may hold back at most."""


def syllables(count: int, rate: float = 25.0) -> MouthMotion:
    """Return motion that opens and shuts four times a second."""
    times = np.arange(count) / rate
    visemes = np.zeros((count, len(VISEMES)), np.float32)
    visemes[:, 0] = 1
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * times)
    return MouthMotion(times=times, opening=opening.astype(np.float32), width=np.full(count, 0.5, np.float32), visemes=visemes)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A renderer with a prepared video of n frames.

    faceless: numbers of the frames without a face; face: the box that all drawing stays within;
    at_once: frames that it draws at once, and holds besides; completed: adds to motion what this renderer needs beyond opening and width
    """

    renderer: Renderer[Any]
    prepared: Any
    frames: tuple[Frame, ...]
    faceless: frozenset[int]
    face: Box
    at_once: int = 0
    completed: Callable[[MouthMotion], MouthMotion] = lambda motion: motion

    def motion(self, count: int, start: int = 0) -> MouthMotion:
        """Return the syllables of the frames start to count."""
        return self.completed(syllables(count)[start:])

    def render(self, frames: Iterable[Frame], motion: Iterable[MouthMotion]) -> list[RenderedFrame]:
        return list(self.renderer.render(self.prepared, frames, motion))


def same(a: Frame, b: Frame) -> bool:
    """Return whether two frames are bit-identical."""
    return bool(np.array_equal(a.i420(), b.i420()))


class RendererContract:
    """Subclass me, and define the fixture `stage`, with a few dozen frames of which some in the middle have no face."""

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls) -> Stage:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def rendered(cls, stage: Stage) -> list[RenderedFrame]:
        return stage.render(stage.frames, [stage.motion(len(stage.frames))])

    def test_as_many_frames_come_out_as_go_in_and_in_order(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        assert [done.frame.index for done in rendered] == [frame.index for frame in stage.frames]

    def test_frames_keep_size_and_colour_space(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        for before, after in zip(stage.frames, rendered, strict=True):
            assert (after.frame.width, after.frame.height, after.frame.space) == (before.width, before.height, before.space)

    def test_frames_with_a_face_are_drawn_on(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        changed = [not same(before, after.frame) for before, after in zip(stage.frames, rendered, strict=True)]
        assert sum(changed) > 0.6 * (len(stage.frames) - len(stage.faceless))

    def test_frames_without_a_face_pass_through_bit_identical(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        assert stage.faceless
        for number in stage.faceless:
            assert same(stage.frames[number], rendered[number].frame)
            assert not rendered[number].is_drawn
            assert rendered[number].not_driven is NotDriven.NO_FACE

    def test_a_frame_is_driven_unless_less_than_half_of_the_drawn_mouth_shows(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        """The mouth fades over six frames before and after a gap: in the two next to it on either side less than half of it shows."""
        first, last = min(stage.faceless), max(stage.faceless)
        assert [number for number, frame in enumerate(rendered) if frame.not_driven] == list(range(first - 2, last + 3))

    def test_only_a_drawn_frame_has_a_target_opening(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        for before, after in zip(stage.frames, rendered, strict=True):
            assert after.is_drawn or same(before, after.frame)
            assert not after.is_drawn or 0 <= after.target_opening < 0.6

    def test_pixels_away_from_the_face_stay_bit_identical(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        x0, y0, x1, y1 = (v // 2 * 2 for v in stage.face)
        outside = np.ones((stage.frames[0].height, stage.frames[0].width), bool)
        outside[y0:y1, x0:x1] = False
        assert outside.any()
        for before, after in zip(stage.frames, rendered, strict=True):
            assert np.array_equal(before.y[outside], after.frame.y[outside])
            for plane in ("u", "v"):
                assert np.array_equal(getattr(before, plane)[outside[::2, ::2]], getattr(after.frame, plane)[outside[::2, ::2]])

    def test_the_source_frames_are_not_written_into(self, stage: Stage) -> None:
        before = [frame.i420().copy() for frame in stage.frames]
        stage.render(stage.frames, [stage.motion(len(stage.frames))])
        assert all(np.array_equal(copy, frame.i420()) for copy, frame in zip(before, stage.frames, strict=True))

    def test_the_target_opening_follows_the_motion(self, rendered: list[RenderedFrame]) -> None:
        motion = syllables(len(rendered)).opening
        target = np.array([done.target_opening for done in rendered])
        drawn = np.isfinite(target)
        assert np.corrcoef(target[drawn], motion[drawn])[0, 1] > 0.9

    def test_the_result_is_the_same_every_time(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        again = stage.render(stage.frames, [stage.motion(len(stage.frames))])
        assert all(same(a.frame, b.frame) for a, b in zip(rendered, again, strict=True))

    def test_the_result_does_not_depend_on_how_motion_is_cut_into_blocks(self, stage: Stage, rendered: list[RenderedFrame]) -> None:
        count = len(stage.frames)
        blocks = [stage.motion(min(start + 7, count), start) for start in range(0, count, 7)]
        assert all(same(a.frame, b.frame) for a, b in zip(rendered, stage.render(stage.frames, blocks), strict=True))

    def test_frames_may_run_backwards(self, stage: Stage) -> None:
        there_and_back = [*stage.frames, *reversed(stage.frames[:-1])]
        done = stage.render(there_and_back, [stage.motion(len(there_and_back))])
        assert [one.frame.index for one in done] == [frame.index for frame in there_and_back]
        assert sum(one.is_drawn for one in done[len(stage.frames) :]) > 0.5 * (len(stage.frames) - len(stage.faceless))

    def test_frames_may_jump(self, stage: Stage) -> None:
        half = len(stage.frames) // 2
        jumping = [*stage.frames[half:], *stage.frames[:half]]
        assert [one.frame.index for one in stage.render(jumping, [stage.motion(len(jumping))])] == [frame.index for frame in jumping]

    def test_no_frames_give_no_frames(self, stage: Stage) -> None:
        assert stage.render([], []) == []

    def test_after_the_end_of_the_motion_frames_still_come(self, stage: Stage) -> None:
        assert len(stage.render(stage.frames, [stage.motion(5)])) == len(stage.frames)

    def test_at_most_eight_frames_are_held_back(self, stage: Stage) -> None:
        taken = 0

        def counted() -> Iterator[Frame]:
            nonlocal taken
            for frame in stage.frames:
                taken += 1
                yield frame

        for given, _ in enumerate(stage.renderer.render(stage.prepared, counted(), [stage.motion(len(stage.frames))]), start=1):
            assert taken - given <= LOOK_AHEAD + stage.at_once

    def test_memory_does_not_grow_with_the_number_of_frames(self, stage: Stage) -> None:
        assert self._peak(stage, 3) < 1.15 * self._peak(stage, 1) + 2**20

    @staticmethod
    def _peak(stage: Stage, rounds: int) -> int:
        """Return the bytes at the peak of showing its beginning forth and back some times."""
        play = [*stage.frames[:12], *reversed(stage.frames[:12])] * rounds
        blocks = (stage.motion(min(k + 8, len(play)), k) for k in range(0, len(play), 8))
        tracemalloc.start()
        for _ in stage.renderer.render(stage.prepared, iter(play), blocks):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
