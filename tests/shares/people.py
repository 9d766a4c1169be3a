"""People of a test: processes with other user ids, which need no account on this machine."""

import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

T = TypeVar("T")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@dataclass(frozen=True, kw_only=True)
class Person:
    """An account: the first of its `groups` is its own."""

    name: str
    uid: int
    groups: tuple[int, ...]


USERS_GROUP = 47100
HEYGEM = Person(name="heygem", uid=47101, groups=(47101, USERS_GROUP))
ALICE = Person(name="alice", uid=47102, groups=(47102, USERS_GROUP))
BEN = Person(name="ben", uid=47104, groups=(47104, USERS_GROUP))
STRANGER = Person(name="stranger", uid=47103, groups=(47103,))


def as_person(person: Person, act: Callable[[], T], *, umask: int = 0o022) -> T:
    """Return what `act` returns, or raise what it raises, in a process of that person."""
    answer, question = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forks beside threads; nothing here needs their locks
        child = os.fork()
    if child == 0:
        os.close(answer)
        with os.fdopen(question, "wb") as pipe:
            try:
                _become(person, umask)
                pickle.dump((act(), None), pipe)
            except BaseException as raised:  # noqa: BLE001 - raised again on the other side
                pickle.dump((None, raised), pipe)
        os._exit(0)
    os.close(question)
    with os.fdopen(answer, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    answered: tuple[T, None] | tuple[None, BaseException] = pickle.loads(content)  # noqa: S301 - our own child wrote it
    if answered[1] is not None:
        raise answered[1]
    return answered[0]


def _become(person: Person, umask: int) -> None:
    os.setgroups(person.groups[1:])
    os.setresgid(*[person.groups[0]] * 3)
    os.setresuid(*[person.uid] * 3)
    os.umask(umask)
