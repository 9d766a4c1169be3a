"""What a process and its children cost is measured whole: ended or not, and without what the parent itself takes."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.speed.processes import MIB, Meter, measure_command

BURN = "import time\nwhile time.process_time() < .3: pass\n"


def test_the_time_of_children_that_have_ended_is_counted() -> None:
    with Meter() as meter:
        subprocess.run((sys.executable, "-c", BURN), check=True)
    assert meter.children >= 0.3
    assert meter.cpu == meter.own + meter.children


def test_the_time_of_a_child_that_still_runs_is_counted() -> None:
    code = BURN + "print(flush=True)\ninput()"
    with subprocess.Popen((sys.executable, "-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with Meter() as meter:
            process.stdout.readline()
        process.kill()
    assert meter.children >= 0.2


def test_a_command_costs_what_its_children_cost_too() -> None:
    code = f"import subprocess, sys; subprocess.run((sys.executable, '-c', {BURN!r})); print(input())"
    cost, output = measure_command((sys.executable, "-c", code), stdin="hello\n")
    assert output == "hello\n"
    assert cost.cpu >= 0.3
    assert cost.wall > 0


def test_the_peak_is_that_of_the_command_and_not_of_its_parent() -> None:
    ours = np.ones(100 * MIB, np.uint8)
    cost, _ = measure_command((sys.executable, "-c", f"import time; x = b'1' * {50 * MIB}; time.sleep(.5)"))
    assert 50 < cost.peak < 100
    assert cost.tree >= 50
    assert ours.all()


def test_a_command_that_fails_raises() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure_command((sys.executable, "-c", "raise SystemExit(3)"))
