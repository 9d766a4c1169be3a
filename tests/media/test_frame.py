"""Frames: colours by the standards, and pasting that changes nothing else."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heygem_daemon.media.frame import LUMA_WEIGHTS, Box, Frame, YuvSpace

BT709 = YuvSpace(matrix="bt709", full_range=False)
SPACES = [YuvSpace(matrix=matrix, full_range=full) for matrix in LUMA_WEIGHTS for full in (False, True)]


def noise(width: int = 24, height: int = 18, space: YuvSpace = BT709, seed: int = 0) -> Frame:
    packed = np.random.default_rng(seed).integers(0, 256, width * height * 3 // 2, dtype=np.uint8)
    return Frame.from_i420(packed, width=width, height=height, index=7, space=space)


def grey(width: int = 24, height: int = 18) -> Frame:
    return Frame.from_i420(np.full(width * height * 3 // 2, 128, np.uint8), width=width, height=height, index=0, space=BT709)


def by_the_standard(frame: Frame) -> npt.NDArray[np.float64]:
    """ITU-R BT.709 section 3 and its kin, in double precision: bgr float64 [h, w, 3], 0-255, clipped."""
    kr, kb = LUMA_WEIGHTS[frame.space.matrix]
    offset, span, chroma = (0, 255, 255) if frame.space.full_range else (16, 219, 224)
    y = (frame.y.astype(float) - offset) / span
    cb, cr = ((plane.repeat(2, 0).repeat(2, 1).astype(float) - 128) / chroma for plane in (frame.u, frame.v))
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([blue, green, red], 2) * 255, 0, 255)


@pytest.mark.parametrize("space", SPACES, ids=lambda s: f"{s.matrix}-{'full' if s.full_range else 'limited'}")
def test_colours_follow_the_matrix_and_range_of_the_frame(space: YuvSpace) -> None:
    frame = noise(space=space)
    assert np.abs(frame.bgr() - by_the_standard(frame)).max() <= 0.5 + 2 / 32  # rounding, and two table entries of 1/32 step


def test_a_box_is_the_same_as_the_part_of_the_whole() -> None:
    frame = noise()
    assert np.array_equal(frame.bgr((5, 3, 18, 14)), frame.bgr()[3:14, 5:18])


def test_a_box_is_clipped_to_the_frame() -> None:
    frame = noise()
    assert np.array_equal(frame.bgr((-4, -4, 100, 5)), frame.bgr()[:5])
    assert frame.bgr((30, 0, 40, 5)).shape == (5, 0, 3)


def test_the_contiguous_buffer_holds_the_three_planes() -> None:
    frame = noise()
    assert frame.i420() is frame.packed
    loose = Frame(index=0, y=frame.y.copy(), u=frame.u.copy(), v=frame.v.copy(), space=BT709)
    assert np.array_equal(loose.i420(), frame.i420())


@settings(max_examples=60, deadline=None)
@given(st.integers(-6, 20), st.integers(-6, 14), st.integers(1, 20), st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_pasting_changes_masked_pixels_and_their_chroma_blocks_only(x: int, y: int, width: int, height: int, seed: int) -> None:
    frame, random = noise(seed=seed), np.random.default_rng(seed)
    box: Box = (x, y, x + width, y + height)
    mask = random.random((height, width)) < 0.4
    out = frame.paste(box, random.integers(0, 256, (height, width, 3), dtype=np.uint8), mask)
    hit = np.zeros((18, 24), bool)
    for row, column in np.argwhere(mask):
        if 0 <= y + row < 18 and 0 <= x + column < 24:
            hit[y + row, x + column] = True
    assert np.array_equal(out.y[~hit], frame.y[~hit])
    blocks = hit.reshape(9, 2, 12, 2).any((1, 3))
    assert np.array_equal(out.u[~blocks], frame.u[~blocks])
    assert np.array_equal(out.v[~blocks], frame.v[~blocks])


def test_pasting_leaves_the_original_alone_and_keeps_its_number() -> None:
    frame = grey()
    out = frame.paste((0, 0, 4, 4), np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool))
    assert (frame.y == 128).all()
    assert (out.y[:4, :4] == 16).all()
    assert out.index == frame.index


def test_a_block_masked_by_half_takes_half_of_the_new_chroma() -> None:
    red = np.zeros((2, 1, 3), np.uint8)
    red[:, :, 2] = 255
    out = grey().paste((1, 0, 2, 2), red, np.ones((2, 1), bool))
    assert out.v[0, 0] == (128 + 240) / 2  # BT.709 pure red is Cr 240
    assert (out.y[:2, 0] == 128).all()
    assert (out.y[:2, 1] == 63).all()


@pytest.mark.parametrize("space", SPACES, ids=lambda s: f"{s.matrix}-{'full' if s.full_range else 'limited'}")
def test_pasting_what_was_read_changes_a_natural_image_by_rounding_only(space: YuvSpace) -> None:
    frame = noise(space=space)
    packed = (frame.i420() // 4 + 96).astype(np.uint8)  # muted: every colour lies inside RGB, so nothing is clipped
    calm = Frame.from_i420(packed, width=24, height=18, index=0, space=space)
    out = calm.paste((3, 3, 20, 15), calm.bgr((3, 3, 20, 15)), np.ones((12, 17), bool))
    assert np.abs(out.i420().astype(int) - packed).max() <= 1


def test_pasting_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="needs"):
        grey().paste((0, 0, 4, 4), np.zeros((4, 5, 3), np.uint8), np.ones((4, 4), bool))
