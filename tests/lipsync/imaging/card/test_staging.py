"""Many arrays travel in one buffer."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heygem_daemon.lipsync.imaging.card.staging import Download, stacked, upload

CPU = torch.device("cpu")


def test_arrays_of_any_type_and_shape_arrive_unchanged_in_one_buffer() -> None:
    random = np.random.default_rng(6)
    arrays: dict[str, npt.NDArray[Any]] = {
        "bytes": random.integers(0, 256, (3, 5), dtype=np.uint8),
        "floats": random.normal(size=(2, 3, 7)).astype(np.float32).transpose(0, 2, 1),
        "doubles": random.normal(size=4),
        "nothing": np.zeros((0, 9), np.uint8),
        "numbers": np.arange(6).reshape(2, 3),
    }
    there = upload(arrays, CPU)
    assert there.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(there[name].numpy(), array)
        assert there[name].numpy().dtype == array.dtype
    assert len({tensor.untyped_storage().data_ptr() for tensor in there.values()}) == 1
    assert np.array_equal(Download(there["bytes"]).result(), arrays["bytes"])


def test_arrays_of_different_sizes_are_stacked_with_zeros_beyond_their_ends() -> None:
    together = stacked([np.ones((2, 3, 4)), np.full((2, 5, 1), 2.0)])
    assert together.shape == (2, 2, 5, 4)
    assert together[0].sum() == 24
    assert together[1].sum() == 20
    assert (together[1, :, :, 1:] == 0).all()
