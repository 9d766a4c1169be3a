"""The cache by content: real processes race, die and run out of disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heygem_daemon.core.errors import TransientError, error
from heygem_daemon.lipsync.cache import Cache, content_key

MB = 2**20

# A process that needs the entry "shared" and logs every build. Its second argument is what it does besides: build, hang or hold.
USER_SCRIPT = """
import os, sys, time
from pathlib import Path
from heygem_daemon.lipsync.cache import Cache

root, mode, log = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

def build(directory):
    with log.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    (directory / "part").write_bytes(b"x" * 1000)
    if mode == "hang":
        print("half", flush=True)
        time.sleep(600)
    time.sleep(0.3)
    (directory / "whole").write_bytes(b"y" * 1000)

with Cache(root, 10**9) as cache:
    entry = cache.entry("shared", build)
    print(sorted(path.name for path in entry.iterdir()), flush=True)
    if mode == "hold":
        sys.stdin.readline()
"""

StartUser = Callable[[str], "subprocess.Popen[str]"]


def fill(size: int = 1000, text: str = "x") -> Callable[[Path], None]:
    def build(directory: Path) -> None:
        (directory / "content").write_text(text * size, encoding="utf-8")

    return build


def never(_: Path) -> None:
    pytest.fail("built although the entry existed")


@pytest.fixture
def start_user(tmp_path: Path) -> Iterator[StartUser]:
    children: list[subprocess.Popen[str]] = []

    def start(mode: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", USER_SCRIPT, str(tmp_path / "cache"), mode, str(tmp_path / "log")]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.communicate()


def entries(root: Path) -> set[str]:
    return {path.name for path in (root / "entries").iterdir()}


def test_the_key_follows_the_content_and_the_versions_not_the_name(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    a.write_bytes(b"1" * 100_000)
    b.write_bytes(b"1" * 100_000)
    c.write_bytes(b"1" * 99_999 + b"2")
    assert content_key(a, "tracks 1") == content_key(b, "tracks 1")
    assert len({content_key(a, "tracks 1"), content_key(a, "tracks 2"), content_key(c, "tracks 1"), content_key(a, "tracks ", "1")}) == 4


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    with Cache(tmp_path, MB) as cache:
        first = cache.entry("k", fill())
        assert (first / "content").read_text(encoding="utf-8") == "x" * 1000
        assert cache.entry("k", never) == first
    with Cache(tmp_path, MB) as later:
        assert later.entry("k", never) == first


def test_a_build_that_fails_leaves_nothing_and_raises_its_error(tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "half").write_bytes(b"half")
        raise error("no_face", name="empty.mp4")

    with Cache(tmp_path, MB) as cache:
        with pytest.raises(Exception, match=r"No face was found in empty\.mp4"):
            cache.entry("k", build)
        assert entries(tmp_path) == set()
        assert list((tmp_path / "building").iterdir()) == []
        cache.entry("k", fill())


@pytest.mark.parametrize("damage", ["shorter", "same length", "gone", "no manifest", "broken manifest"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, damage: str) -> None:
    with Cache(tmp_path, MB) as cache:
        content = cache.entry("k", fill()) / "content"
    match damage:
        case "shorter":
            content.write_text("x" * 999, encoding="utf-8")
        case "same length":
            content.write_text("x" * 999 + "y", encoding="utf-8")
        case "gone":
            content.unlink()
        case "no manifest":
            content.with_name("manifest.json").unlink()
        case _:
            content.with_name("manifest.json").write_text("[1", encoding="utf-8")
    with Cache(tmp_path, MB) as cache:
        assert (cache.entry("k", fill(text="z")) / "content").read_text(encoding="utf-8") == "z" * 1000


def test_a_damaged_entry_in_use_is_built_privately(tmp_path: Path) -> None:
    with Cache(tmp_path, MB) as holder:
        held = holder.entry("k", fill()) / "content"
        held.write_text("damaged", encoding="utf-8")
        with Cache(tmp_path, MB) as other:
            private = other.entry("k", fill())
            assert (private / "content").read_text(encoding="utf-8") == "x" * 1000
            assert private != held.parent
        assert not private.exists()
        assert held.read_text(encoding="utf-8") == "damaged"


def test_the_least_recently_used_entry_goes_first(tmp_path: Path) -> None:
    for age, key in enumerate(("old", "middle", "new")):
        with Cache(tmp_path, 10 * MB) as cache:
            os.utime(cache.entry(key, fill(MB)), (1000 + age, 1000 + age))
    with Cache(tmp_path, 10 * MB) as cache:
        cache.entry("old", never)
    with Cache(tmp_path, int(3.5 * MB)) as cache:
        cache.entry("newest", fill(MB))
    assert entries(tmp_path) == {"old", "new", "newest"}
    assert {path.name for path in (tmp_path / "locks").iterdir()} == {"old", "new", "newest"}


def test_an_entry_in_use_is_never_removed(tmp_path: Path) -> None:
    with Cache(tmp_path, 0) as holder:
        held = holder.entry("held", fill(MB))
        with Cache(tmp_path, 0) as other:
            other.entry("passing", fill(MB))
        assert (held / "content").stat().st_size == MB
        assert entries(tmp_path) == {"held"}
    assert entries(tmp_path) == set()


def test_one_of_many_racing_processes_builds_and_all_use_it(tmp_path: Path, start_user: StartUser) -> None:
    racers = [start_user("build") for _ in range(5)]
    outputs = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert outputs == ["['manifest.json', 'part', 'whole']"] * 5
    assert len((tmp_path / "log").read_text(encoding="utf-8").split()) == 1


def test_a_process_that_waits_for_a_builder_shows_that_it_lives(tmp_path: Path, start_user: StartUser) -> None:
    builder = start_user("hang")
    assert builder.stdout is not None
    assert builder.stdout.readline() == "half\n"
    waits: list[None] = []

    def on_wait() -> None:
        waits.append(None)
        if len(waits) == 3:
            builder.kill()

    with Cache(tmp_path / "cache", 10**9, on_wait=on_wait) as cache:
        assert (cache.entry("shared", fill()) / "content").exists()
    assert len(waits) >= 3


def test_a_waiting_process_builds_when_the_builder_is_killed(tmp_path: Path, start_user: StartUser) -> None:
    victim = start_user("hang")
    assert victim.stdout is not None
    assert victim.stdout.readline().strip() == "half"
    waiting = start_user("build")
    time.sleep(0.5)
    assert waiting.poll() is None, "a half-built entry was used"
    assert entries(tmp_path / "cache") == set()
    victim.send_signal(signal.SIGKILL)
    assert waiting.communicate(timeout=60)[0].strip() == "['manifest.json', 'part', 'whole']"
    assert list((tmp_path / "cache" / "building").iterdir()) == []


def test_the_files_of_a_killed_builder_are_removed_by_others(tmp_path: Path, start_user: StartUser) -> None:
    victim = start_user("hang")
    assert victim.stdout is not None
    victim.stdout.readline()
    root = tmp_path / "cache"
    with Cache(root, MB) as cache:
        cache.entry("other", fill())
        assert len(list((root / "building").iterdir())) == 1, "a living builder's work was removed"
        victim.kill()
        victim.wait()
    assert list((root / "building").iterdir()) == []


def test_a_killed_user_does_not_hold_its_entry_for_ever(tmp_path: Path, start_user: StartUser) -> None:
    user = start_user("hold")
    assert user.stdout is not None
    user.stdout.readline()
    root = tmp_path / "cache"
    Cache(root, 0).close()
    assert entries(root) == {"shared"}
    user.kill()
    user.wait()
    Cache(root, 0).close()
    assert entries(root) == set()


def small_disk(tmp_path: Path, megabytes: int) -> Path:
    """Return a directory on a file system of its own, or skip the test where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    return disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = small_disk(tmp_path, 3)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_on_a_full_disk_unused_entries_make_room(disk: Path) -> None:
    with Cache(disk, 100 * MB) as cache:
        cache.entry("old", fill(2 * MB))
    with Cache(disk, 100 * MB) as cache:
        assert cache.entry("new", fill(2 * MB)).parent == disk / "entries"
    assert entries(disk) == {"new"}


def test_on_a_disk_too_small_the_entry_is_used_without_being_kept(disk: Path) -> None:
    with Cache(disk, 100 * MB) as cache:
        private = cache.entry("k", fill(4 * MB))
        assert (private / "content").stat().st_size == 4 * MB
        assert cache.entry("k", never) == private
    assert not private.exists()
    assert entries(disk) == set()


def test_with_no_room_anywhere_the_job_waits(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    with Cache(disk, 100 * MB) as cache, pytest.raises(TransientError) as caught:
        cache.entry("k", fill(4 * MB))
    assert caught.value.code == "disk_full"
    assert [path.name for path in disk.iterdir() if path.name.startswith("heygem-cache")] == []


def refuse(number: int) -> Callable[[Path], None]:
    def build(_directory: Path) -> None:
        raise OSError(number, os.strerror(number))

    return build


def test_the_full_disk_that_is_named_is_the_one_that_was_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with Cache(tmp_path / "cache", MB) as cache, pytest.raises(TransientError, match=f"in {tmp_path / 'temporary'}:") as caught:
        cache.entry("k", refuse(errno.ENOSPC))
    assert caught.value.code == "disk_full"


def test_an_entry_that_is_too_large_for_the_file_system_of_the_cache_is_built_privately(tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (refuse(errno.EFBIG) if tmp_path in directory.parents else fill())(directory)

    with Cache(tmp_path / "cache", MB) as cache:
        assert tmp_path not in cache.entry("k", build).parents
    with Cache(tmp_path / "cache", MB) as cache, pytest.raises(OSError, match="File too large"):
        cache.entry("k", refuse(errno.EFBIG))


def test_the_manifest_names_every_file_below_the_entry(tmp_path: Path) -> None:
    def build(directory: Path) -> None:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_bytes(b"abc")

    with Cache(tmp_path, MB) as cache:
        manifest = json.loads((cache.entry("k", build) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == {"deep/file": [3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]}


@pytest.mark.parametrize("key", ["", "a.b", "../a", "a/b"])
def test_a_key_that_could_leave_the_cache_is_refused(tmp_path: Path, key: str) -> None:
    with Cache(tmp_path, MB) as cache, pytest.raises(ValueError, match="letters and digits"):
        cache.entry(key, never)
