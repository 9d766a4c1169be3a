"""One daemon per state folder, outputs and inbox."""

import errno
import fcntl
import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.names import MARKER
from heygem_daemon.machine import process_namespace, process_start
from heygem_daemon.settings import Inbox, Settings
from heygem_daemon.wiring import instance_lock
from heygem_daemon.wiring.instance_lock import AlreadyRunningError, only_instance
from tests.shares.people import ALICE, needs_root


def settings_in(folder: Path) -> Settings:
    return Settings(outputs=folder / "outputs", state=folder / "state", cache=folder / "cache")


def test_the_folders_are_made_and_a_second_instance_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with only_instance(settings):
        assert all(folder.is_dir() for folder in (settings.outputs, settings.state, settings.cache))
        assert (settings.state / "daemon.lock").read_text(encoding="ascii") == f"{os.getpid()}\n"
        with pytest.raises(AlreadyRunningError, match="another daemon uses"), only_instance(settings):
            pass
    with only_instance(settings):
        pass


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / MARKER).touch()
    return tmp_path / "inbox"


def with_own_state(folder: Path, state: str, outputs: str, inboxes: Sequence[Path] = ()) -> Settings:
    watched = tuple(Inbox(path=inbox) for inbox in inboxes or [folder / "not there"])
    return Settings(outputs=folder / outputs, state=folder / state, cache=folder / "cache", inboxes=watched)


@pytest.mark.parametrize("shared", ["outputs", "inbox"])
def test_a_daemon_with_its_own_state_folder_is_refused_too(tmp_path: Path, inbox: Path, shared: str) -> None:
    first = with_own_state(tmp_path, "state-1", "outputs", [inbox])
    outputs = "outputs" if shared == "outputs" else "others"
    second = with_own_state(tmp_path, "state-2", outputs, [inbox] if shared == "inbox" else ())
    with only_instance(first), pytest.raises(AlreadyRunningError, match=f"another daemon uses {tmp_path}/{shared};"), only_instance(second):
        pass
    with only_instance(second):
        pass


def test_two_names_of_one_inbox_are_no_second_daemon(tmp_path: Path, inbox: Path) -> None:
    (tmp_path / "alias").symlink_to(inbox)
    with only_instance(with_own_state(tmp_path, "state", "outputs", [inbox, tmp_path / "alias"])):
        pass


def test_a_folder_that_is_not_mounted_is_left_as_it_is(tmp_path: Path, inbox: Path) -> None:
    (inbox / MARKER).unlink()
    with only_instance(with_own_state(tmp_path, "state", "outputs", [inbox, tmp_path / "gone"])):
        assert not list(inbox.iterdir())
        assert not (tmp_path / "gone").exists()


def test_nothing_is_held_open_there_and_nothing_is_left_at_the_end(tmp_path: Path, inbox: Path) -> None:
    with only_instance(with_own_state(tmp_path, "state", "outputs", [inbox])):
        descriptors = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        open_files = [str(each.readlink()) for each in descriptors if os.path.lexists(each)]
        assert not [path for path in open_files if path.startswith((str(inbox), f"{tmp_path}/outputs"))]
        assert (inbox / ".heygem/daemon.json").stat().st_mode & 0o777 == 0o600
    assert not list((inbox / ".heygem").iterdir())
    assert not list((tmp_path / "outputs/.heygem").iterdir())


@pytest.mark.parametrize("change", ["nothing", "pid", "started", "namespace", "state"])
def test_only_a_daemon_that_surely_works_there_keeps_another_away(tmp_path: Path, inbox: Path, change: str) -> None:
    """One that was killed leaves its file, another computer's process cannot be seen, and a number may be another process's by now."""
    with subprocess.Popen(["sleep", "60"]) as other:
        fields: dict[str, object] = {
            "state": "/other",
            "pid": other.pid,
            "namespace": process_namespace(),
            "started": process_start(other.pid),
        }
        others = {"pid": 2**22 + 1, "started": 5, "namespace": "another computer", "state": str(tmp_path / "state")}
        (inbox / ".heygem").mkdir()
        (inbox / ".heygem/daemon.json").write_text(json.dumps({**fields, **{key: others[key] for key in others if key == change}}))
        settings = with_own_state(tmp_path, "state", "outputs", [inbox])
        if change == "nothing":
            with pytest.raises(AlreadyRunningError, match=f"another daemon uses {inbox};"), only_instance(settings):
                pass
            other.kill()
            while process_start(other.pid):  # nobody has taken note of its end yet
                time.sleep(0.01)
        with only_instance(settings):
            pass
        other.kill()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": 1, "pid": "x", "namespace": [], "started": null}', "[" * 60_000])
def test_a_damaged_file_keeps_nobody_away(tmp_path: Path, inbox: Path, content: str) -> None:
    (inbox / ".heygem").mkdir()
    (inbox / ".heygem/daemon.json").write_text(content)
    with only_instance(with_own_state(tmp_path, "state", "outputs", [inbox])):
        assert json.loads((inbox / ".heygem/daemon.json").read_text())["pid"] == os.getpid()


@needs_root
def test_a_file_of_somebody_else_keeps_nobody_away(tmp_path: Path, inbox: Path) -> None:
    file = inbox / ".heygem/daemon.json"
    with only_instance(with_own_state(tmp_path, "state-1", "others", [inbox])):
        os.chown(file, ALICE.uid, ALICE.uid)
        with only_instance(with_own_state(tmp_path, "state-2", "outputs", [inbox])):
            assert "state-1" in file.read_text()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_lies_in_the_place_of_the_file_is_passed_over(tmp_path: Path, inbox: Path, kind: str) -> None:
    place = inbox / ".heygem/daemon.json"
    place.parent.mkdir()
    if kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(tmp_path / "other")
    else:
        os.mkfifo(place)
    with only_instance(with_own_state(tmp_path, "state", "outputs", [inbox])):
        assert not (tmp_path / "other").exists()
    assert os.path.lexists(place)


def test_a_folder_that_does_not_answer_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(instance_lock, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(instance_lock, "_announce", lambda *_: released.wait(60))
    with only_instance(settings_in(tmp_path)):
        pass
    released.set()


def test_a_share_without_locks_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def refuse(file: int | IO[bytes], how: int) -> None:
        if not isinstance(file, int):
            raise OSError(errno.ENOLCK, "No locks available")
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = with_own_state(tmp_path, "state-1", "outputs"), with_own_state(tmp_path, "state-2", "outputs")
    with only_instance(first), pytest.raises(AlreadyRunningError), only_instance(second):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", encoding="ascii")
    with pytest.raises(HeygemError, match=f"{tmp_path}/state"), only_instance(settings_in(tmp_path)):
        pass
