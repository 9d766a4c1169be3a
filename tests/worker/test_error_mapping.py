"""Every exception is mapped to an error of the tree."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from heygem_daemon.core.errors import error
from heygem_daemon.worker.error_mapping import as_heygem_error


@pytest.mark.parametrize(
    ("problem", "kind", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "transient", "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "transient", "disk_full"),
        (OSError(errno.ESTALE, "Stale file handle"), "transient", "io_error"),
        (OSError(errno.EIO, "Input/output error"), "transient", "io_error"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "engine", "internal"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "device", "device_memory"),
        (RuntimeError("CUDA error: out of memory"), "device", "device_memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device", "device_lost"),
        (RuntimeError("shape mismatch"), "engine", "internal"),
        (MemoryError(), "engine", "internal"),
        (KeyError("x"), "engine", "internal"),
    ],
    ids=repr,
)
def test_an_exception_gets_a_kind_and_a_code(tmp_path: Path, problem: BaseException, kind: str, code: str) -> None:
    known = as_heygem_error(problem, tmp_path)
    assert (known.kind, known.code) == (kind, code)
    assert known.message


def test_a_heygem_error_stays_what_it_is(tmp_path: Path) -> None:
    known = error("no_face", name="a.mp4")
    assert as_heygem_error(known, tmp_path) is known


def test_a_full_disk_is_named_even_when_its_size_cannot_be_read(tmp_path: Path) -> None:
    known = as_heygem_error(OSError(errno.ENOSPC, "full"), tmp_path / "gone")
    assert str(tmp_path / "gone") in known.hint


def test_the_executor_side_of_the_protocol_loads_no_heavy_library() -> None:
    code = (
        "import sys, heygem_daemon.executors.local, heygem_daemon.executors.inline\n"
        "print([name for name in ('torch', 'cv2', 'librosa', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
