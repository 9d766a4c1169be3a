"""The row of what users would have instead: Wav2Lip in the loop it is usually run in (benchmarks/wav2lip_naive.py), beside our engine."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.speed.bed import Bed
from benchmarks.speed.floor import transcode
from benchmarks.speed.rows import Row, medians
from tests.lipsync.wav2lip.synthetic_weights import untrained_weights


def usual_loop(bed: Bed, seconds: float = 5) -> Iterator[Row]:
    """Measure 480p25 with random weights: the faces are noise, the work is the same."""
    from benchmarks.wav2lip import in_new_process  # noqa: PLC0415
    from benchmarks.wav2lip_naive import run_naively  # noqa: PLC0415

    video, speech = bed.inputs.video("480p", fps=25, seconds=seconds), bed.inputs.recording(seconds)
    ours = bed.render(clip=str(video), speech=bed.speech(seconds), rounds=1)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        torch.save({"state_dict": untrained_weights()}, out / "random.pth")
        job = argparse.Namespace(
            checkpoint=out / "random.pth", video=video, recording=speech, out=out, models=bed.weights, device="cpu", threads=0
        )
        for _ in range(max(1, bed.rounds - 1)):
            naive = in_new_process(run_naively, job)["naive"]
            floor = transcode(video, naive.frames, out / "plain.mp4")
            rounds.append({"floor": naive.cpu / floor.cpu, "cpu": naive.cpu / naive.frames, "wall": naive.seconds / naive.frames})
    loop = medians(rounds)
    for presenter in ("new", "known"):
        render = ours.of(presenter)[0]
        cpu, wall = render.cost.cpu / render.frames, render.cost.wall / render.frames
        yield Row(
            section="Beside the usual Wav2Lip loop",
            name=f"480p25 {presenter}",
            ratios={"CPU / loop": cpu / loop["cpu"]},
            values={"wall / loop": wall / loop["wall"], "loop CPU / floor": loop["floor"], "loop CPU ms/frame": 1000 * loop["cpu"]},
            tolerances={"CPU / loop": 0.25},
        )
