"""The two hot loops as Triton kernels: rasterising triangles, and sampling planes. Triton comes with torch on a card.

Both compute what `rasterising.rasterise` and `sampling.sample` do; the tests compare them by Triton's interpreter, where it is installed.
"""

import subprocess
from contextlib import AbstractContextManager
from typing import Final

import torch
import triton  # type: ignore[import-not-found, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor
from triton.errors import TritonError  # type: ignore[import-not-found, unused-ignore]

from heygem_daemon.lipsync.imaging.card import rasterising, sampling
from heygem_daemon.lipsync.imaging.card.rasterising import COLUMNS, EDGES, TriangleTable, triangle_table
from heygem_daemon.lipsync.imaging.card.sampling import Kernel

_TILE: Final = 32
"""Side of the square of pixels that one program rasterises: a triangle of a mouth touches few of them."""
_BLOCK: Final = 512
"""Pixels that one program samples."""


@triton.jit  # type: ignore[untyped-decorator]
def _rasterise_kernel(  # noqa: PLR0917
    values: tl.tensor,
    boxes: tl.tensor,
    out: tl.tensor,
    count: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    tile: tl.constexpr,
    columns: tl.constexpr,
    edges: tl.constexpr,
) -> None:
    face = tl.program_id(2)
    top, left = tl.program_id(1) * tile, tl.program_id(0) * tile
    y, x = top + tl.arange(0, tile)[:, None], left + tl.arange(0, tile)[None, :]
    u = tl.full((tile, tile), float("nan"), tl.float32)
    v = tl.full((tile, tile), float("nan"), tl.float32)
    for triangle in range(count):
        box = boxes + (face * count + triangle) * 4
        x0, y0, x1, y1 = tl.load(box), tl.load(box + 1), tl.load(box + 2), tl.load(box + 3)
        if (x0 < left + tile) & (x1 > left) & (y0 < top + tile) & (y1 > top):
            row = values + (face * count + triangle) * columns
            dx, dy = x.to(tl.float32) - tl.load(row), y.to(tl.float32) - tl.load(row + 1)
            inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
            inside &= tl.load(row + 2) * dx + tl.load(row + 3) * dy + tl.load(row + 4) >= 0
            inside &= tl.load(row + 5) * dx + tl.load(row + 6) * dy + tl.load(row + 7) >= 0
            inside &= tl.load(row + 8) * dx + tl.load(row + 9) * dy + tl.load(row + 10) >= 0
            first = row + 2 + edges
            u = tl.where(inside, tl.load(first) * dx + tl.load(first + 1) * dy + tl.load(first + 2), u)
            v = tl.where(inside, tl.load(first + 3) * dx + tl.load(first + 4) * dy + tl.load(first + 5), v)
    is_in_plane = (y < height) & (x < width)
    place = out + face * 2 * height * width + y * width + x
    tl.store(place, u, mask=is_in_plane)
    tl.store(place + height * width, v, mask=is_in_plane)


def rasterise(triangles: TriangleTable, size: tuple[int, int]) -> Tensor:
    """Return what `rasterising.rasterise` returns."""
    values, boxes = triangles.values.contiguous(), triangles.boxes.contiguous()
    (faces, count), (height, width) = values.shape[:2], size
    out = torch.empty((faces, 2, height, width), dtype=torch.float32, device=values.device)
    grid = (triton.cdiv(width, _TILE), triton.cdiv(height, _TILE), faces)
    with _device_of(values):
        _rasterise_kernel[grid](values, boxes, out, count, height, width, tile=_TILE, columns=COLUMNS, edges=EDGES)
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _cubic(distance: tl.tensor) -> tl.tensor:
    t = tl.abs(distance)
    near = (1.25 * t - 2.25) * t * t + 1
    far = ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0
    return tl.where(t <= 1, near, tl.where(t < 2, far, 0.0))


@triton.jit  # type: ignore[untyped-decorator]
def _tap_weight(distance: tl.tensor, taps: tl.constexpr) -> tl.tensor:
    if taps == 2:
        return tl.maximum(1 - tl.abs(distance), 0.0)
    elif taps == 4:  # noqa: RET505  (Triton compiles one of the branches)
        return _cubic(distance)
    else:
        return (_cubic(distance - 1) + _cubic(distance + 1)) * 0.03125 + _cubic(distance) * 0.9375


@triton.jit  # type: ignore[untyped-decorator]
def _sample_kernel(  # noqa: PLR0917
    texels: tl.tensor, table: tl.tensor, places: tl.tensor, out: tl.tensor, pixels: tl.tensor, taps: tl.constexpr, block: tl.constexpr
) -> None:
    plane = tl.program_id(1)
    number = tl.program_id(0) * block + tl.arange(0, block)
    is_in_plane = number < pixels
    begin, rows, columns = tl.load(table + 3 * plane), tl.load(table + 3 * plane + 1), tl.load(table + 3 * plane + 2)
    source = places + plane.to(tl.int64) * 2 * pixels + number
    x = tl.load(source, mask=is_in_plane, other=0.0)
    y = tl.load(source + pixels, mask=is_in_plane, other=0.0)
    is_known = is_in_plane & (x == x)  # noqa: PLR0124  (NaN differs from itself)
    x, y = tl.where(is_known, x, 0.0), tl.where(is_known, y, 0.0)
    left, top = tl.floor(x) - (taps // 2 - 1), tl.floor(y) - (taps // 2 - 1)
    read = tl.zeros((block,), tl.float32)
    for j in tl.static_range(taps):
        row = tl.minimum(tl.maximum((top + j).to(tl.int64), 0), rows - 1)
        line = tl.zeros((block,), tl.float32)
        for i in tl.static_range(taps):
            column = tl.minimum(tl.maximum((left + i).to(tl.int64), 0), columns - 1)
            texel = tl.load(texels + begin + row * columns + column, mask=is_known, other=0).to(tl.float32)
            line += _tap_weight(x - (left + i), taps) * texel
        read += _tap_weight(y - (top + j), taps) * line
    tl.store(out + plane.to(tl.int64) * pixels + number, read, mask=is_in_plane)


def sample(texels: Tensor, table: Tensor, places: Tensor, kernel: Kernel) -> Tensor:
    """Return what `sampling.sample` returns."""
    planes, _, height, width = places.shape
    out = torch.empty((planes, height, width), dtype=torch.float32, device=places.device)
    grid = (triton.cdiv(height * width, _BLOCK), planes)
    with _device_of(places):
        _sample_kernel[grid](texels, table, places.contiguous(), out, height * width, taps=kernel.value, block=_BLOCK)
    return out


def work_on(device: torch.device) -> bool:
    """Return whether both kernels can be compiled and run on a device, and give what torch gives."""
    corners = torch.tensor([[[0.0, 0.0], [9.0, 0.0], [9.0, 7.0]]], dtype=torch.float64, device=device)
    texels = torch.arange(80, dtype=torch.uint8, device=device)
    table = torch.tensor([[0, 8, 10]], device=device)
    size = (8, 10)
    triangles = triangle_table(corners, corners + 0.3, torch.tensor([[0, 1, 2]], device=device), torch.tensor([size], device=device))
    try:
        places = rasterise(triangles, size)
        read = [sample(texels, table, places, kernel) for kernel in Kernel]
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError, TritonError):
        return False
    expected = rasterising.rasterise(triangles, size)
    is_right = torch.allclose(places, expected, atol=1e-3, equal_nan=True)
    wanted = [sampling.sample(texels, table, expected, kernel) for kernel in Kernel]
    return is_right and all(torch.allclose(found, right, atol=1e-2) for found, right in zip(read, wanted, strict=True))


def _device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Return the context in which the device of a tensor is the current one, on which Triton launches its kernels."""
    context: AbstractContextManager[object] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return context
