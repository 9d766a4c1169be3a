"""Triton's kernels, run by its interpreter in a process of its own, give what torch gives."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import torch

from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels, has_triton, kernels_for

SCRIPT: Final = """
import torch
from heygem_daemon.lipsync.imaging.card import triton_kernels
from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels, TritonKernels
from heygem_daemon.lipsync.imaging.card.rasterising import triangle_table
from heygem_daemon.lipsync.imaging.card.sampling import Kernel

torch.manual_seed(7)
ours, reference = TritonKernels(), TorchKernels()
points = torch.rand(2, 12, 2, dtype=torch.float64) * 16
triangles = torch.randint(0, 12, (12, 3))
table = triangle_table(points, points + torch.rand_like(points), triangles, torch.tensor([[15, 16], [9, 12]]))
places = ours.rasterise(table, (15, 16))
assert torch.equal(places.isnan(), reference.rasterise(table, (15, 16)).isnan())
assert not places.isnan().all()
assert (places - reference.rasterise(table, (15, 16))).abs().nan_to_num().max() < 1e-4
texels, planes = torch.randint(0, 256, (4000,), dtype=torch.uint8), torch.tensor([[3, 40, 50], [2100, 25, 60]])
for kernel in Kernel:
    difference = ours.sample(texels, planes, places, kernel) - reference.sample(texels, planes, places, kernel)
    assert difference.abs().max() < 2e-3, kernel
assert triton_kernels.work_on(torch.device("cpu"))  # the interpreter works anywhere
masks = torch.rand(4000)
assert (ours.sample(masks, planes, places, Kernel.LINEAR) - reference.sample(masks, planes, places, Kernel.LINEAR)).abs().max() < 1e-5
"""


COMPILE: Final = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from heygem_daemon.lipsync.imaging.card import triton_kernels as kernels

def compiled(kernel, **constants):
    kinds = {"values": "*fp32", "boxes": "*i32", "out": "*fp32", "texels": "*u8", "table": "*i64", "places": "*fp32"}
    signature = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in kernel.arg_names}
    return compile(ASTSource(kernel, signature=signature, constexprs=constants), target=GPUTarget("cuda", 90, 32))

assert compiled(kernels._rasterise_kernel, tile=32, columns=17, edges=9).asm["cubin"]
assert compiled(kernels._sample_kernel, taps=4, block=512).asm["cubin"]
"""


@pytest.mark.skipif(not has_triton(), reason="Triton comes with torch for a card")
def test_the_kernels_compile_for_a_card_that_is_not_there(tmp_path: Path) -> None:
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not has_triton(), reason="Triton comes with torch for a card")
def test_the_kernels_give_what_torch_gives() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_cpu_gets_torch() -> None:
    assert type(kernels_for(torch.device("cpu"))) is TorchKernels


@pytest.mark.skipif(not has_triton(), reason="Triton comes with torch for a card")
def test_where_triton_cannot_compile_it_is_not_used() -> None:
    from heygem_daemon.lipsync.imaging.card import triton_kernels  # noqa: PLC0415  (absent where there is no card)

    assert not triton_kernels.work_on(torch.device("cpu"))
