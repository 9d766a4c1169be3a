"""Find out whether any process has a file open for writing, by fcntl F_SETLEASE (local file systems only).

The kernel refuses a read lease with EAGAIN while any process holds the file open for writing. A lease needs ownership of the file or
CAP_LEASE; without them the answer is False, and the settle time alone decides.
"""

import errno
import fcntl
import os
import signal
from contextlib import suppress


def has_writer(descriptor: int) -> bool:
    """Return whether a process has the file of this descriptor (opened read-only) open for writing."""
    try:
        # A writer that opens the file between the two leases makes the kernel signal us: by default SIGIO, which would end
        # the daemon (tried). SIGURG is ignored by default. Giving up the lease resets the signal, so it is set every time.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as refused:
        return refused.errno == errno.EAGAIN
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def has_writer_at(name: str, folder: int) -> bool:
    """Return the same for the file `name` in the open folder `folder`; False where it cannot be opened."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as failed:
        # Another process (Samba with kernel oplocks) holds a write lease of its own.
        return failed.errno == errno.EWOULDBLOCK
    try:
        return has_writer(descriptor)
    finally:
        os.close(descriptor)
