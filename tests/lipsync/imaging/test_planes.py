"""Parts of a frame in its own planes: cut out with repeated borders, and written back."""

import numpy as np
import pytest

from heygem_daemon.lipsync.imaging.planes import PlanarRoi, Planes, colour_plane, cut_out, even_box, to_bgr
from heygem_daemon.media.frame import Box
from tests.lipsync.atlas.conftest import Scene


def test_an_even_box_holds_whole_blocks() -> None:
    assert even_box(np.array([3.2, -1.5]), np.array([8.0, 5.1])) == (2, -2, 8, 6)
    assert even_box(np.array([4.0, 4.0]), np.array([4.0, 4.0])) == (4, 4, 6, 6)


@pytest.mark.parametrize("box", [(10, 20, 40, 60), (-6, 4, 10, 20), (370, 380, 400, 410), (-40, -30, -20, -10), (500, 500, 520, 510)])
def test_a_cut_beyond_the_frame_repeats_its_border(scene: Scene, box: Box) -> None:
    frame, part = scene.frame, cut_out(scene.frame, box)
    x, y = np.arange(box[0], box[2]).clip(0, frame.width - 1), np.arange(box[1], box[3]).clip(0, frame.height - 1)
    assert np.array_equal(part.y, frame.y[np.ix_(y, x)])
    assert np.array_equal(part.u, frame.u[np.ix_(y[::2] // 2, x[::2] // 2)])


def test_a_part_that_changed_nowhere_leaves_the_frame_as_it_is(scene: Scene) -> None:
    part = cut_out(scene.frame, (-10, 20, 60, 90))
    planes = Planes(luma=part.y.astype(np.float32) + 50, colour=colour_plane(part))
    roi = PlanarRoi(planes=planes, corner=(-10, 20), changed=np.zeros((70, 70), np.uint8))
    assert np.array_equal(roi.written_on(scene.frame).i420(), scene.frame.i420())
    inner = roi.part((20, 30, 40, 44))
    inner.changed[:] = 1
    assert np.array_equal(roi.written_on(scene.frame).y[30:44, 20:40], np.minimum(scene.frame.y[30:44, 20:40].astype(int) + 50, 255))


def test_codes_become_the_colours_that_the_frame_shows(scene: Scene) -> None:
    frame = scene.frame
    codes = np.stack([frame.y[::2, ::2], frame.u, frame.v], axis=-1).astype(np.float32)
    assert np.abs(to_bgr(codes, frame.space) - frame.bgr()[::2, ::2]).max() < 1.1
