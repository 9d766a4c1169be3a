"""How many workers a machine gets."""

from dataclasses import replace

import pytest

from heygem_daemon.executors.worker_plan import CARD_BYTES, CARD_ITEMS, ITEM_BYTES, ItemsAtOnce, plan_workers
from heygem_daemon.machine import Machine

GIB = 2**30
SERVER = Machine(cores=16, memory_bytes=64 * GIB)


def count(machine: Machine, *devices: str, wanted: ItemsAtOnce = "auto") -> int:
    return plan_workers(devices or ("cpu",), wanted, 0, machine).items


@pytest.mark.parametrize(("cores", "items"), [(1, 1), (2, 1), (7, 1), (8, 2), (16, 4), (64, 16)])
def test_an_item_for_every_four_cores(cores: int, items: int) -> None:
    assert count(replace(SERVER, cores=cores)) == items


@pytest.mark.parametrize("memory", [GIB, 2 * GIB, 4 * GIB, 6 * GIB, 16 * GIB])
def test_never_more_than_memory_holds_and_never_none(memory: int) -> None:
    items = count(replace(SERVER, memory_bytes=memory))
    assert items == 1 or items * ITEM_BYTES <= 0.75 * memory
    assert (items + 1) * ITEM_BYTES > 0.75 * memory or items == 4


def test_the_reason_names_what_is_scarce() -> None:
    assert "16 cores" in plan_workers(["cpu"], "auto", 0, SERVER).reason
    assert "memory" in plan_workers(["cpu"], "auto", 0, replace(SERVER, memory_bytes=3 * GIB)).reason
    assert plan_workers(["cpu"], 3, 0, SERVER).reason == "cpu: 3, engine.items_at_once is 3"


def test_a_number_is_taken_as_it_is() -> None:
    assert count(Machine(cores=1, memory_bytes=GIB), wanted=5) == 5


def test_every_worker_has_a_name_of_its_own_and_the_first_that_of_its_device() -> None:
    plan = plan_workers(["cpu", "cuda:1"], 2, 0, SERVER)
    assert plan.workers == (("cpu", "cpu"), ("cpu-2", "cpu"), ("cuda:1", "cuda:1"), ("cuda:1-2", "cuda:1"))


def test_a_device_named_twice_has_two_workers() -> None:
    assert count(SERVER, "cpu", "cpu") == 2
    assert count(SERVER, "cpu", "cpu", wanted=2) == 4


def test_the_cores_are_divided_among_the_workers() -> None:
    assert plan_workers(["cpu"], "auto", 0, SERVER).threads == 4
    assert plan_workers(["cpu"], 1, 0, SERVER).threads == 16
    assert plan_workers(["cpu"], 32, 0, SERVER).threads == 1
    assert plan_workers(["cpu"], 32, 6, SERVER).threads == 6


def test_two_devices_divide_cores_and_memory() -> None:
    assert count(SERVER, "cuda:0", "cuda:1") == 2
    large = replace(SERVER, card_bytes=(80 * GIB, 80 * GIB))
    assert count(large, "cuda:0", "cuda:1") == 4


@pytest.mark.parametrize(("device", "cards", "items"), [
    ("cuda", (), 1),
    ("cuda", (0,), 1),
    ("cuda", (CARD_BYTES,), 1),
    ("cuda", (2 * CARD_BYTES,), 2),
    ("cuda:1", (CARD_BYTES, 2 * CARD_BYTES), 2),
    ("auto", (80 * GIB,), CARD_ITEMS),
    ("auto", (0,), 1),
    ("auto", (), 4),
    ("cpu", (80 * GIB,), 4),
])  # fmt: skip
def test_a_card_gets_what_its_memory_holds_as_far_as_it_is_known(device: str, cards: tuple[int, ...], items: int) -> None:
    assert count(replace(SERVER, card_bytes=cards), device) == items


def test_without_a_device_there_is_no_worker() -> None:
    assert plan_workers([], "auto", 0, SERVER).workers == ()
