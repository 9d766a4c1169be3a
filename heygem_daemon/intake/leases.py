"""Whether anybody has a file open for writing: fcntl F_SETLEASE, a question the kernel answers for local file systems.

A read lease is refused with EAGAIN while any process holds the file open for writing. It needs the file to be ours or CAP_LEASE; where
it cannot be asked, the answer is "nobody known", and the settle time alone decides.
"""

import errno
import fcntl
import os
import signal
from contextlib import suppress


def has_writer(descriptor: int) -> bool:
    """Whether somebody has the file of this descriptor (opened read-only) open for writing."""
    try:
        # A writer that opens the file between the two leases makes the kernel signal us: by default SIGIO, which would end
        # the daemon [run]. SIGURG is ignored by default. Giving up the lease resets the choice, so it is made every time.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as refused:
        return refused.errno == errno.EAGAIN
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def has_writer_at(name: str, folder: int) -> bool:
    """The same for the file `name` in the open folder `folder`; False where it cannot be opened."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as failed:
        # Somebody (Samba with kernel oplocks) holds a lease of his own for writing.
        return failed.errno == errno.EWOULDBLOCK
    try:
        return has_writer(descriptor)
    finally:
        os.close(descriptor)
