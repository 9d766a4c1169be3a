"""Sampling planes of different sizes from one tensor gives what OpenCV gives for each of them."""

import cv2
import numpy as np
import pytest
import torch

from heygem_daemon.lipsync.imaging.card.sampling import PREFILTER, Kernel, sample
from heygem_daemon.lipsync.imaging.card.textures import ResidentTextures, planes_table

PLANES = ((60, 70), (31, 45))


def planes() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, size, dtype=np.uint8) for size in PLANES]


def packed() -> tuple[torch.Tensor, torch.Tensor]:
    """Both planes in one tensor, with something before them: texels and table."""
    first, second = planes()
    texels = np.concatenate([np.full(5, 99, np.uint8), first.reshape(-1), second.reshape(-1)])
    return torch.from_numpy(texels), torch.tensor([[5, *PLANES[0]], [5 + first.size, *PLANES[1]]])


def places(low: float, high: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).uniform(low, high, (2, 2, 20, 30)).astype(np.float32))


@pytest.mark.parametrize(("kernel", "flag"), [(Kernel.LINEAR, cv2.INTER_LINEAR), (Kernel.CUBIC, cv2.INTER_CUBIC)])
def test_a_plane_is_sampled_as_opencv_does_and_its_border_repeated(kernel: Kernel, flag: int) -> None:
    at = places(-9, 80)
    read = sample(*packed(), at, kernel).numpy()
    for plane, (x, y), found in zip(planes(), at.numpy(), read, strict=True):
        expected = cv2.remap(plane.astype(np.float32), x, y, flag, borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(found - expected).max() < 2e-3


def test_prefiltered_is_a_bicubic_sample_of_the_filtered_plane() -> None:
    at = places(3, 27)  # the border repeats before the filter here, and after it there
    read = sample(*packed(), at, Kernel.PREFILTERED).numpy()
    for plane, (x, y), found in zip(planes(), at.numpy(), read, strict=True):
        filtered = cv2.sepFilter2D(plane, cv2.CV_32F, np.array(PREFILTER), np.array(PREFILTER))
        assert np.abs(found - cv2.remap(filtered, x, y, cv2.INTER_CUBIC)).max() < 2e-3


def test_an_unknown_place_gives_zero() -> None:
    at = places(3, 27)
    at[0, :, 4, 7] = float("nan")
    read = sample(*packed(), at, Kernel.CUBIC)
    assert read[0, 4, 7] == 0
    assert not torch.isnan(read).any()


def images(count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """I420 images of different sizes: their widths and heights, and their bytes."""
    random = np.random.default_rng(3)
    sizes = np.array([(16 + 2 * k, 12 + 4 * k) for k in range(count)], np.int64)
    return sizes, [random.integers(0, 256, w * h * 3 // 2, dtype=np.uint8) for w, h in sizes]


def stored(textures: ResidentTextures, numbers: list[int]) -> None:
    new, slots = textures.missing(numbers)
    textures.store(torch.from_numpy(new), torch.from_numpy(slots))


def test_resident_images_are_read_once_and_the_oldest_make_room() -> None:
    sizes, pixels = images(5)
    reads: list[int] = []

    def read(number: int) -> np.ndarray:
        reads.append(number)
        return pixels[number]

    textures = ResidentTextures(sizes, read, 3, torch.device("cpu"))
    for numbers in ([0, 1, 0], [1, 2], [3, 1], [0, 1]):
        stored(textures, numbers)
        for number, table in zip(numbers, textures.tables(numbers).transpose(1, 0, 2), strict=True):
            width, height = sizes[number]
            begin = table[0, 0]
            assert np.array_equal(textures.texels[begin : begin + len(pixels[number])].numpy(), pixels[number])
            assert table.tolist() == planes_table(np.array([begin]), np.array([height]), np.array([width]))[:, 0].tolist()
    assert reads == [0, 1, 2, 3, 0]
    with pytest.raises(ValueError, match="4 images for 3 places"):
        textures.missing([0, 1, 2, 3])


def test_images_of_a_batch_that_never_came_are_read_again() -> None:
    sizes, pixels = images(4)
    textures = ResidentTextures(sizes, pixels.__getitem__, 2, torch.device("cpu"))
    stored(textures, [0, 1])
    assert len(textures.missing([2, 3])[0]) == 2  # the device ran out of memory before they came
    assert len(textures.missing([2])[0]) == 1
    stored(textures, [2, 3])
    begin = textures.tables([3])[0, 0, 0]
    assert np.array_equal(textures.texels[begin : begin + len(pixels[3])].numpy(), pixels[3])


def test_the_planes_of_an_image_lie_one_after_the_other() -> None:
    luma, blue, red = planes_table(np.array([100]), np.array([8]), np.array([6]))[:, 0].tolist()
    assert (luma, blue, red) == ([100, 8, 6], [148, 4, 3], [160, 4, 3])
