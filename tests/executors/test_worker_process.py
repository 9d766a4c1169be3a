"""The pipes of a worker: whoever writes without end keeps the daemon from nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from heygem_daemon.executors.worker_process import LinePipe

LONGEST_SECONDS = 1.0


@pytest.fixture
def pipe() -> Iterator[tuple[LinePipe, int]]:
    reading, writing = os.pipe()
    lines = LinePipe(os.fdopen(reading, "rb", buffering=0))
    yield lines, writing
    lines.close()
    with suppress(OSError):
        os.close(writing)


def write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    with suppress(BrokenPipeError):
        while left:
            left = left[os.write(descriptor, left) :]
    os.close(descriptor)


def test_lines_come_whole_and_the_unfinished_one_at_the_end(pipe: tuple[LinePipe, int]) -> None:
    lines, writing = pipe
    os.write(writing, b"one\ntwo\nthr")
    assert lines.lines() == [b"one", b"two"]
    os.write(writing, b"ee\n\nrest")
    assert lines.lines() == [b"three", b""]
    os.close(writing)
    assert (lines.lines(), lines.is_open, lines.has_more) == ([b"rest"], False, False)


def test_a_flood_of_lines_is_taken_in_parts_and_none_is_lost(pipe: tuple[LinePipe, int]) -> None:
    lines, writing = pipe
    writer = Thread(target=write_all, args=(writing, b"".join(b"%d\n" % number for number in range(100_000))))
    writer.start()
    taken: list[bytes] = []
    while lines.is_open or lines.has_more:
        part = lines.lines()
        assert len(part) <= 500
        taken += part
    writer.join()
    assert taken == [b"%d" % number for number in range(100_000)]


def test_a_line_of_a_hundred_megabytes_takes_neither_time_nor_memory(pipe: tuple[LinePipe, int]) -> None:
    lines, writing = pipe
    writer = Thread(target=write_all, args=(writing, b"x" * 100_000_000 + b"end\nnext\n"))
    writer.start()
    taken: list[bytes] = []
    longest = 0.0
    while lines.is_open or lines.has_more:
        began = time.thread_time()
        taken += lines.lines()
        longest = max(longest, time.thread_time() - began)
    writer.join()
    assert longest < LONGEST_SECONDS
    assert taken[-2].endswith(b"xend")
    assert taken[-1] == b"next"
    assert all(len(line) <= 2**22 for line in taken)
