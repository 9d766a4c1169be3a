"""Whatever bytes our parsers get, they keep their promises: guided by coverage in `make prove`, with changed seeds in `make test`."""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prove.fuzz.seeds import SEEDS
from tests.prove.fuzz.targets import LONGEST, SLOWEST, TARGETS
from tests.prove.proof import Proof

PROOF = Proof(suite="fuzzing")
CHANGED = 60
CHANGED_OF_COSTLY = 6
"""Changed forms of each target's seeds in the ordinary suite; fewer of those that start programs or load libraries."""
COSTLY = frozenset({"containers", "checkpoints", "scripts"})
SECONDS = 25
"""Of coverage-guided fuzzing for each target."""
LEAST_RUNS = 300
FOUND = sorted((Path(__file__).parent / "found").glob("*"))
"""What a fuzzer has found once, named TARGET-anything."""


def changed(seed: bytes, order: random.Random) -> bytes:
    """Return a seed cut, repeated, with other bytes or with a number in it."""
    data = bytearray(seed[:LONGEST])
    for _ in range(order.randint(1, 8)):
        place = order.randrange(len(data) + 1)
        match order.randrange(4):
            case 0:
                data[place : place + order.randrange(1, 9)] = order.randbytes(order.randrange(9))
            case 1:
                data[place : place + 4] = order.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"))
            case 2:
                data[place:place] = data[place : place + order.randrange(200)] * order.randrange(1, 20)
            case _:
                del data[place : place + order.randrange(1, 50)]
    return bytes(data[:LONGEST])


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_changed_seeds_are_answered(name: str) -> None:
    order = random.Random(name)
    seeds = SEEDS[name]()
    for seed in seeds:
        TARGETS[name](seed[:LONGEST])
    for _ in range(CHANGED_OF_COSTLY if name in COSTLY else CHANGED):
        began = time.process_time()
        TARGETS[name](changed(order.choice(seeds), order))
        assert time.process_time() - began < SLOWEST


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in {"containers", "checkpoints"}])
@settings(max_examples=15)
@given(data=st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_answered(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_what_was_found_once_is_answered(path: Path) -> None:
    TARGETS[path.name.partition("-")[0]](path.read_bytes())


@pytest.mark.prove
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_guided_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.prove.fuzz", name, str(tmp_path / "corpus"), str(SECONDS))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # the fuzzer ends without tidying up
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS * 20, env=environment)
    crashes = sorted(path.name for path in (tmp_path / "crashes").glob("*"))
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    executed = int(runs[1]) if runs else 0
    branches, features = map(int, reached[-1]) if reached else (0, 0)
    PROOF.row(
        f"Inputs to {name.replace('_', ' ')}, guided by the code that they reach, that raise, hang or give an answer that is not valid",
        f"{len(crashes)} of {executed} in {SECONDS} s ({branches} branches, {features} features reached)",
        f"0 of at least {LEAST_RUNS}",
        not crashes and done.returncode == 0 and executed >= LEAST_RUNS,
    )
