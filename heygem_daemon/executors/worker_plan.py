"""Decide how many workers a machine gets: several items at once where one does not fill it, never more than the memory holds.

A worker makes one item at a time, so several items at once are several workers on one device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from heygem_daemon.machine import MIB, Machine

ItemsAtOnce = int | Literal["auto"]

CORES_PER_ITEM: Final = 4
"""One item decodes, draws (several threads) and encodes (several threads) side by side, which fills three to four cores; its start, its end
and the stages before it draws fill one or two."""
CARD_ITEMS: Final = 2
"""While one item draws on the card, the other is decoded, aligned, encoded or verified on the cores."""
ITEM_BYTES: Final = 1200 * MIB
"""Memory of a worker at work on a 1080x1920 video: 573 MiB of its own and 383 of its ffmpeg processes at the peak of a new presenter on two
cores (PSS); x264 takes more on more cores."""
IDLE_BYTES: Final = 350 * MIB
"""Memory of a worker that waits for its next order: 360 MiB after one of 844x844 (PSS)."""
CARD_BYTES: Final = 8 * 1024 * MIB
"""Memory of a card for one item, generously: its use has not been measured on a card, so that only large ones get several items."""
_KEPT_FRACTION: Final = 0.25
"""Part of the memory that stays with the daemon, the system and the files that are being read and written."""


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """The workers of this machine. workers: (name, device) of each. threads: CPU threads of each. reason: in words, why so many."""

    workers: tuple[tuple[str, str], ...]
    threads: int
    reason: str

    @property
    def items(self) -> int:
        return len(self.workers)


def plan_workers(devices: Sequence[str], wanted: ItemsAtOnce, threads: int, machine: Machine) -> WorkerPlan:
    """Return the workers for `devices` ("auto", "cpu", "cuda:1" ...; one named n times gets n workers at least).

    wanted: items at once on each device, or "auto". threads: of each worker; 0 = the cores divided among the workers.
    """
    distinct = list(dict.fromkeys(devices))
    parts = max(len(distinct), 1)
    shared = replace(machine, cores=machine.cores // parts, memory_bytes=machine.memory_bytes // parts)
    workers: list[tuple[str, str]] = []
    reasons: list[str] = []
    for device in distinct:
        named = devices.count(device)
        count, reason = (wanted * named, f"engine.items_at_once is {wanted}") if wanted != "auto" else _automatic(device, shared)
        if wanted == "auto" and named > 1:
            count, reason = named, f"engine.device names it {named} times"
        workers += [(name, device) for name in _names(device, count)]
        reasons.append(f"{device}: {count}, {reason}")
    own_threads = max(machine.cores // max(len(workers), 1), 1)
    return WorkerPlan(workers=tuple(workers), threads=threads or own_threads, reason="; ".join(reasons))


def _automatic(device: str, machine: Machine) -> tuple[int, str]:
    """Return the items at once on a device, and the reason in words."""
    usable = int(machine.memory_bytes * (1 - _KEPT_FRACTION))
    limits = [
        (_fit(machine.cores, CORES_PER_ITEM), f"{machine.cores} {'core' if machine.cores == 1 else 'cores'}, {CORES_PER_ITEM} for each"),
        (_fit(usable, ITEM_BYTES), f"{_gib(usable)} of memory to use, {_gib(ITEM_BYTES)} for each"),
    ]
    if device.startswith("cuda") or (device == "auto" and machine.card_bytes):
        limits += _card_limits(device, machine.card_bytes)
    return min(limits, key=lambda limit: limit[0])


def _card_limits(device: str, cards: Sequence[int]) -> list[tuple[int, str]]:
    digits = device.partition(":")[2]
    number = int(digits) if digits.isdigit() else 0
    size = cards[number] if number < len(cards) else 0
    if not size:
        return [(1, "the memory of the card is not known")]
    return [
        (_fit(size, CARD_BYTES), f"{_gib(size)} on the card, {_gib(CARD_BYTES)} for each"),
        (CARD_ITEMS, "one draws while the other is decoded and encoded"),
    ]


def _fit(whole: int, part: int) -> int:
    return max(whole // part, 1)


def _names(device: str, count: int) -> Iterator[str]:
    """Yield the names of the workers on a device. The first is named like the device, however many there are: a reload keeps it."""
    yield device
    yield from (f"{device}-{number}" for number in range(2, count + 1))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
