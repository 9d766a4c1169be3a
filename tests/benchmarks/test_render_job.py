"""The process that renders for the benchmark: what it reports of a render, and of its stages."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.speed.processes import Cost, Meter
from benchmarks.speed.render_job import Render, RenderJob, mean_cost, with_rest


def test_the_rest_is_what_the_stages_leave() -> None:
    stages = {"render": Meter(wall=2, own=1, children=3), "verify": Meter(wall=1, own=1, children=0)}
    found = with_rest(Meter(wall=4, own=2.5, children=4), stages)
    assert list(found) == ["render", "verify", "rest"]
    assert found["rest"] == {"wall": 1, "own": 0.5, "children": 1}


def test_the_floor_is_the_mean_of_both_transcodes() -> None:
    assert mean_cost(Cost(wall=1, cpu=3), Cost(wall=3, cpu=4)) == Cost(wall=2, cpu=3.5)


@pytest.mark.slow
def test_a_job_renders_a_new_presenter_and_then_a_known_one(portrait_clip: Path, weights: Path, tmp_path: Path) -> None:
    speech = {"new": "hello there", "known": "good morning"}
    for presenter, words in speech.items():
        speech[presenter] = str(tmp_path / f"{presenter}.wav")
        subprocess.run(("espeak-ng", "-w", speech[presenter], words), check=True)
    clip, words = str(portrait_clip), speech["new"]
    job = json.dumps(asdict(RenderJob(clip=clip, speech=speech, warm_clip=clip, warm_speech=words, weights=str(weights), cores=1)))
    command = (sys.executable, "-m", "benchmarks.speed.render_job")
    answer = json.loads(subprocess.run(command, input=job, capture_output=True, text=True, check=True).stdout)
    new, known = (Render.from_json(each) for each in answer["renders"])
    assert (new.presenter, known.presenter) == ("new", "known")
    assert min(new.frames, known.frames) > 10
    assert {"analyse", "prepare", "render", "verify", "rest"} <= new.stages.keys()
    assert known.cost.cpu > known.floor.cpu > 0
    assert known.stages["analyse"]["own"] < new.stages["analyse"]["own"]
    assert answer["peak"] > 100
