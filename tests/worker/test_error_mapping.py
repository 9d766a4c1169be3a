"""Every exception is mapped to an error of the tree."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from heygem_daemon.core.errors import error
from heygem_daemon.core.storage import FULL, SHORT, UNREACHABLE, storage_error
from heygem_daemon.media.tool_ends import Completed, end_error
from heygem_daemon.worker.error_mapping import as_heygem_error


@pytest.mark.parametrize(
    ("problem", "kind", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "transient", "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "transient", "quota_full"),
        (OSError(errno.EROFS, "Read-only file system"), "transient", "read_only"),
        (OSError(errno.ESTALE, "Stale file handle"), "transient", "io_error"),
        (OSError(errno.EIO, "Input/output error"), "transient", "disk_failing"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "engine", "internal"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "device", "device_memory"),
        (RuntimeError("CUDA error: out of memory"), "device", "device_memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device", "device_lost"),
        (RuntimeError("shape mismatch"), "engine", "internal"),
        (MemoryError(), "engine", "memory_full"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), "engine", "memory_full"),
        (RuntimeError("std::bad_alloc"), "engine", "memory_full"),
        (RuntimeError("can't start new thread"), "transient", "server_short"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "transient", "server_short"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "transient", "server_short"),
        (OSError(errno.EMFILE, "Too many open files"), "transient", "server_short"),
        (PermissionError(errno.EACCES, "Permission denied"), "transient", "io_error"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "transient", "io_error"),
        (OSError(errno.EBUSY, "Device or resource busy"), "transient", "io_error"),
        (OSError(errno.ENODEV, "No such device"), "transient", "disk_failing"),
        (OSError(errno.EFBIG, "File too large"), "engine", "internal"),
        (KeyError("x"), "engine", "internal"),
    ],
    ids=repr,
)
def test_an_exception_gets_a_kind_and_a_code(tmp_path: Path, problem: BaseException, kind: str, code: str) -> None:
    known = as_heygem_error(problem, tmp_path)
    assert (known.kind, known.code) == (kind, code)
    assert known.message


@pytest.mark.parametrize("number", sorted(SHORT | UNREACHABLE), ids=errno.errorcode.get)
def test_what_a_system_call_and_what_a_program_report_of_the_machine_has_the_same_code(tmp_path: Path, number: int) -> None:
    code = "server_short" if number in SHORT else "io_error"
    ended = Completed(code=1, stdout=b"", stderr=f"file:/x.mp4: {os.strerror(number)}", program="ffmpeg")
    of_program = end_error(ended, "x.mp4")
    assert as_heygem_error(OSError(number, os.strerror(number)), tmp_path).code == code
    assert (of_program.code if of_program else None) == code


def test_no_number_is_of_two_lists_or_of_a_disk_as_well() -> None:
    assert len(FULL | SHORT | UNREACHABLE) == len(FULL) + len(SHORT) + len(UNREACHABLE)
    assert [number for number in SHORT | UNREACHABLE if storage_error(number, "/x", None) is not None] == []


def test_a_heygem_error_stays_what_it_is(tmp_path: Path) -> None:
    known = error("no_face", name="a.mp4")
    assert as_heygem_error(known, tmp_path) is known


def test_a_full_disk_is_named_even_when_its_size_cannot_be_read(tmp_path: Path) -> None:
    known = as_heygem_error(OSError(errno.ENOSPC, "full"), tmp_path / "gone")
    assert str(tmp_path / "gone") in known.message


def test_the_disk_that_is_named_is_that_of_the_file_which_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    failed = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "cache/entry"))
    assert f"in {tmp_path / 'cache'}:" in as_heygem_error(failed, tmp_path / "outputs").message
    assert f"in {tmp_path}:" in as_heygem_error(OSError(errno.ENOSPC, "full", "relative"), tmp_path).message


def test_the_executor_side_of_the_protocol_loads_no_heavy_library() -> None:
    code = (
        "import sys, heygem_daemon.executors.local, heygem_daemon.executors.inline\n"
        "print([name for name in ('torch', 'cv2', 'librosa', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
