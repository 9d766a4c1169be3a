"""The status while the daemon lacks the rights to a drop, and that it goes on by itself. What the kernel refuses to whom is
tested in tests/intake/test_permissions.py, by other users; here it is root that works, to whom nothing is refused."""

import errno
import os

import pytest

from heygem_daemon.intake import claims, listing
from tests.daemon.harness import SETTLE, DaemonHarness


def test_a_drop_without_the_right_to_move_it_waits_with_the_command_and_goes_on_with_it(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(claims, "may_move", lambda path: False)
        harness.drop("lesson")
        harness.until(lambda: harness.state("lesson") is not None and harness.status("lesson").error)
        waiting = harness.status("lesson")
        assert waiting.error is not None
        assert (waiting.error.code, waiting.waiting_for) == ("permission_denied", "share")
        assert "no right to move lesson" in waiting.reason
        assert f"chmod -R g+rwX {harness.inbox}/lesson" in waiting.error.hint
        harness.tick(3600)
        assert (harness.inbox / "lesson").is_dir()
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_a_file_that_cannot_be_read_is_named_once_the_copy_is_still(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(walk: object, name: str, folder: int) -> os.stat_result:
        if name == "a.mp4":
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return os.stat(name, dir_fd=folder)

    with monkeypatch.context() as closed:
        closed.setattr(listing._Walk, "_fstat", refuse)
        harness.drop("lesson")
        harness.tick(0.1)
        assert harness.status("lesson").error is None, "copying programs give their files the final rights last"
        harness.tick(SETTLE)
        harness.tick(0.1)
        problem = harness.status("lesson").error
        assert problem is not None
        assert problem.code == "permission_denied"
        assert "no right to read lesson/videos/a.mp4" in problem.message
    harness.until(lambda: harness.state("lesson") == "succeeded")


def test_a_script_that_became_unreadable_makes_its_job_wait(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(claims, "may_read", lambda path: path.name != "speech.txt")
        folder = harness.drop("lesson")
        (folder / "speech.txt").write_text("The words of the recording.", encoding="utf-8")
        harness.until(lambda: harness.state("lesson") == "waiting")
        problem = harness.events_named("item_retrying")[0]
        assert problem["error_code"] == "permission_denied"
        assert "lesson/speech.txt" in str(problem["reason"])
    harness.tick(60)
    harness.until(lambda: harness.state("lesson") == "succeeded")
