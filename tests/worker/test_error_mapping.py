"""Whatever is raised gets its place in the error tree."""

import errno
import subprocess
import sys

import pytest
import torch

from heygem_daemon.core.errors import CATALOG, HeygemError, error
from heygem_daemon.worker.error_mapping import as_heygem_error, kind_of


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
def test_an_exception_gets_a_kind_and_a_code(tmp_path, problem, kind, code):
    known = as_heygem_error(problem, tmp_path)
    assert (kind_of(known), known.code) == (kind, code)
    assert known.message


def test_an_error_of_ours_stays_what_it_is(tmp_path):
    known = error("no_face", name="a.mp4")
    assert as_heygem_error(known, tmp_path) is known


def test_a_full_disk_is_named_even_when_it_cannot_be_asked(tmp_path):
    known = as_heygem_error(OSError(errno.ENOSPC, "full"), tmp_path / "gone")
    assert str(tmp_path / "gone") in known.hint


def test_every_class_of_the_table_has_a_kind():
    kinds = {kind_of(spec.kind("code", "message")) for spec in CATALOG.values()}
    assert kinds == {"input", "transient", "setup", "engine", "device"}
    assert all(issubclass(spec.kind, HeygemError) for spec in CATALOG.values())


def test_the_executor_side_of_the_protocol_loads_no_heavy_library():
    code = (
        "import sys, heygem_daemon.executors.local, heygem_daemon.executors.inline\n"
        "print([name for name in ('torch', 'cv2', 'librosa', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
