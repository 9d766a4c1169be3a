"""What stays on the device from batch to batch."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from heygem_daemon.lipsync.atlas.store import Presenter
from heygem_daemon.lipsync.geometry.triangulation import Triangulation, lip_triangles
from heygem_daemon.lipsync.imaging.card.device_kernels import TorchKernels
from heygem_daemon.lipsync.imaging.card.textures import ResidentTextures

BATCH: Final = 32
"""Frames that are drawn at once."""
_MOUTHS: Final = 3
"""Source mouths that one frame takes at most: two for the lips and one for what is between them."""
_TEXTURE_BYTES: Final = 1 << 30
"""Memory for source mouths on the device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Resident:
    """A presenter on a device. textures: the mouths used last; mouth, opening: int64 [t, 3], the triangles that are taken from another
    frame, and those of the lips and the opening; kernels: how the device rasterises and samples."""

    presenter: Presenter
    textures: ResidentTextures
    mouth: Tensor
    opening: Tensor
    kernels: TorchKernels

    @property
    def texels(self) -> Tensor:
        """uint8 [n]: the source mouths, for `TorchKernels.sample`."""
        return self.textures.texels

    @property
    def device(self) -> torch.device:
        return self.mouth.device


def resident(presenter: Presenter, mesh: Triangulation, device: torch.device, kernels: TorchKernels) -> Resident:
    """Put a presenter with the triangles of its face on a device; its mouths follow when they are used."""
    largest = int(presenter.crop_sizes.prod(1).max()) * 3 // 2
    slots = max(_MOUTHS * BATCH, _TEXTURE_BYTES // largest)
    mouth, opening = mesh.mouth, np.concatenate([lip_triangles(mesh), mesh.inside])
    return Resident(
        presenter=presenter,
        textures=ResidentTextures(presenter.crop_sizes, lambda row: presenter.crop(row).i420(), slots, device),
        mouth=torch.from_numpy(mouth).long().to(device),
        opening=torch.from_numpy(opening).long().to(device),
        kernels=kernels,
    )
