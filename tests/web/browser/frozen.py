"""A folder that does not answer, as a share whose server has died: every system call on it waits in the kernel."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Cover `folder` with a file system in user space that nobody serves; what waits for it gets an error at the end."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("to freeze a share needs root and /dev/fuse")
    served_by = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={served_by},rootmode=40000,user_id=0,group_id=0,allow_other"
    try:
        if _libc.mount(b"frozen", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            pytest.skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        _libc.umount2(os.fsencode(folder), _DETACH)
        os.close(served_by)
