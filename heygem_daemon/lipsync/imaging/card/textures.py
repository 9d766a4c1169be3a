"""Images that stay on the device: those used last, in one tensor, so that a kernel reads any of them."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.arrays import Image, Int64


class ResidentTextures:
    """Images of bytes by number, read when they are first needed; the ones used last stay.

    sizes: int [n, 2], width and height of each, even: I420, the two colour planes after luma; read: returns the bytes of an image;
    slots: how many stay, at least as many as one batch uses.
    """

    def __init__(self, sizes: Int64, read: Callable[[int], Image], slots: int, device: torch.device) -> None:
        self._sizes, self._read = sizes, read
        self._slot_bytes = int(sizes.prod(1).max()) * 3 // 2
        self._places: OrderedDict[int, int] = OrderedDict()
        count = max(1, min(slots, len(sizes)))
        self._slots: Tensor = torch.zeros((count, self._slot_bytes), dtype=torch.uint8, device=device)
        self._free = list(range(count))
        self._expected: list[int] = []

    @property
    def texels(self) -> Tensor:
        """uint8 [n]: all images, for `sampling.sample`."""
        return self._slots.view(-1)

    def missing(self, numbers: Iterable[int]) -> tuple[Image, Int64]:
        """Give every image of a batch a place; return (uint8 [m, bytes] of those that were not there, int [m] their places).

        They are to be passed to `store` on the device before the batch is drawn; those of a batch that never came are missing again. Raises
        ValueError where the places do not suffice.
        """
        self._free += [self._places.pop(number) for number in self._expected]
        self._expected = []
        wanted = list(dict.fromkeys(numbers))
        for number in wanted:
            if number in self._places:
                self._places.move_to_end(number)
        new = [number for number in wanted if number not in self._places]
        if len(wanted) > len(self._slots):
            raise ValueError(f"{len(wanted)} images for {len(self._slots)} places")
        packed = np.zeros((len(new), self._slot_bytes), np.uint8)
        for row, number in zip(packed, new, strict=True):
            pixels = self._read(number)
            row[: pixels.size] = pixels
            self._places[number] = self._free.pop() if self._free else self._places.popitem(last=False)[1]
        self._expected = new
        return packed, np.array([self._places[number] for number in new], np.int64)

    def store(self, images: Tensor, places: Tensor) -> None:
        """Put images where `missing` gave them a place; both tensors are on the device."""
        if len(images):
            self._slots[places] = images
        self._expected = []

    def tables(self, numbers: Sequence[int]) -> Int64:
        """Return int [3, n, 3] for `sampling.sample`: begin, height and width of luma, blue and red difference of each image."""
        width, height = self._sizes[list(numbers)].T
        begin = np.array([self._places[number] for number in numbers], np.int64) * self._slot_bytes
        return planes_table(begin, height, width)


def planes_table(begin: Int64, height: Int64, width: Int64) -> Int64:
    """Return int [3, n, 3]: begin, height and width of the three planes of I420 images that begin at `begin`, [n] each."""
    blue, half = begin + height * width, (height // 2, width // 2)
    planes = ((begin, height, width), (blue, *half), (blue + half[0] * half[1], *half))
    return np.stack([np.stack(plane, axis=1) for plane in planes]).astype(np.int64)
