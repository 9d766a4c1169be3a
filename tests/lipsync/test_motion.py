"""Mouth motion is cut and joined without loss."""

import numpy as np
import pytest

from heygem_daemon.lipsync.motion import VISEMES, MouthMotion, viseme_index

OPTIONAL = ("lips", "mouth_images", "confidence")
FIELDS = ("times", "opening", "width", "visemes", *OPTIONAL)


def motion(count: int, *, whole: bool = True) -> MouthMotion:
    """Return motion of `count` frames with different values everywhere, with or without the optional arrays."""
    random = np.random.default_rng(count)

    def values(*shape: int) -> "np.typing.NDArray[np.float32]":
        return random.random((count, *shape), dtype=np.float32)

    return MouthMotion(
        times=np.arange(count) / 25,
        opening=values(),
        width=values(),
        visemes=values(len(VISEMES)),
        lips=values(40, 3) if whole else None,
        mouth_images=values(2, 3, 3) if whole else None,
        confidence=values() if whole else None,
    )


def same(a: MouthMotion, b: MouthMotion) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in FIELDS]
    return all((one is None and other is None) or np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("whole", [True, False])
def test_a_slice_holds_the_same_rows_of_every_array(whole: bool) -> None:
    source = motion(10, whole=whole)
    part = source[3:7]
    assert len(part) == 4
    for name in FIELDS:
        array = getattr(source, name)
        assert getattr(part, name) is None if array is None else np.array_equal(getattr(part, name), array[3:7])


@pytest.mark.parametrize("rows", [slice(8, 99), slice(-2, None), slice(4, 4)])
def test_a_slice_is_clipped_as_that_of_an_array(rows: slice) -> None:
    assert np.array_equal(motion(10)[rows].times, (np.arange(10) / 25)[rows])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("length", [1, 3, 20])
def test_concatenated_slices_are_the_motion(length: int, whole: bool) -> None:
    source = motion(10, whole=whole)
    assert same(MouthMotion.concatenate([source[i : i + length] for i in range(0, 10, length)]), source)


def test_an_optional_array_that_one_block_lacks_is_left_out() -> None:
    joined = MouthMotion.concatenate([motion(3), motion(2, whole=False)])
    assert [getattr(joined, name) for name in OPTIONAL] == [None, None, None]
    assert len(joined) == len(joined.visemes) == 5


def test_the_dtypes_stay() -> None:
    joined = MouthMotion.concatenate([motion(3), motion(2)])
    assert joined.times.dtype == np.float64
    assert {getattr(joined, name).dtype for name in FIELDS[1:]} == {np.dtype(np.float32)}


def test_visemes_are_found_by_their_names() -> None:
    assert [viseme_index(name) for name in VISEMES] == list(range(16))
