"""Staging lies in outputs, where others may write: whatever they put there, an attempt gets an empty folder, and nobody waits for it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heygem_daemon.publishing import staging
from heygem_daemon.publishing.delete_tree import delete_tree
from heygem_daemon.publishing.staging import STAGING, Staging


def make_deep(path: Path) -> None:
    """More levels than Python calls."""
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def make_large(path: Path) -> None:
    for number in range(3000):
        (path / str(number)).mkdir(parents=True)


ODD: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a file": Path.touch,
    "a link": lambda path: path.symlink_to("/etc"),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a deep folder": make_deep,
    "a large folder": make_large,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", ODD)
def test_an_attempt_gets_an_empty_folder_whatever_is_in_its_place(outputs: Path, what: str) -> None:
    """A pipe there held the thread of outputs for ever, and with it everything that is written."""
    folder = outputs / STAGING / "token"
    folder.parent.mkdir(parents=True)
    ODD[what](folder)
    created = Staging(outputs).create("token")
    assert created == folder
    assert created.is_dir()
    assert os.listdir(created) == []
    left = sorted(os.listdir(folder.parent))
    assert left[-1] == "token"
    assert all(name.startswith(".deleting-") for name in left[:-1]), "retention deletes the rest at its next sweep"
    delete_tree(folder.parent)  # as that does; pytest cannot
    assert not folder.parent.exists()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", ODD)
def test_what_is_staged_is_removed_whatever_somebody_has_made_of_it(outputs: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "DELETED_AT_ONCE", 10_000)
    folder = outputs / STAGING / "token"
    folder.parent.mkdir(parents=True)
    ODD[what](folder)
    Staging(outputs).remove("token")
    assert os.listdir(folder.parent) == []
    Staging(outputs).remove("token")
