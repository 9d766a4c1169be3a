"""Measure a graphics card (`make bench-gpu`): stage by stage, drawing by batch size, several items at once, and how equal its drawing is.

    python -m benchmarks.speed.card [--device cuda] [--clip VIDEO] [--speech RECORDING] [--rounds 3] [--out .cache/bench-gpu.json]

Without a card it says so, and ends with exit status 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.speed.bed import Bed
from benchmarks.speed.drawing import FRAMES, run_job
from benchmarks.speed.processes import measure_command
from benchmarks.speed.renders import sized
from benchmarks.speed.report import as_json, as_markdown, versions, write_json
from benchmarks.speed.rows import Row, medians

BATCHES: Final = (1, 4, 8, 16, 32)
ITEMS: Final = (1, 2, 4)
NO_CARD: Final = "No card here: torch sees no CUDA device. Nothing was measured."


def card_name(device: str) -> str | None:
    """Return the name of the card with its memory, None where there is none."""
    import torch  # noqa: PLC0415  (slow to import)

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def card_rows(bed: Bed, device: str) -> Iterator[Row]:
    """Yield all rows of a card, and for comparison those of the CPU beside it."""
    yield from sized(bed, "1080p", 25)
    yield from drawing_by_batch(bed, device)
    for count in ITEMS:
        yield items_at_once(bed, count)


def drawing_by_batch(bed: Bed, device: str) -> Iterator[Row]:
    """Measure the drawing of 1080p frames by the number of frames drawn at once, and its difference to that of the CPU."""
    section = "Drawing alone, 1080p"
    plain = medians(run_job(bed, "1080p", cores=None))
    yield Row(section=section, name="CPU, all cores", values={"ms/frame": plain["wall ms/frame"]})
    clip = bed.inputs.video("1080p", fps=25, seconds=FRAMES / 25)
    job = {"clip": str(clip), "weights": str(bed.weights), "device": device, "frames": FRAMES, "batches": BATCHES, "rounds": bed.rounds}
    _, output = measure_command((sys.executable, "-m", "benchmarks.speed.card_drawing"), stdin=json.dumps(job))
    names = {"plan": "planning on the CPU", "whole": "card, planning and drawing"} | {
        str(batch): f"card, {batch} at once" for batch in BATCHES
    }
    for key, values in json.loads(output.splitlines()[-1]).items():
        yield Row(section=section, name=names[key], values=values)


def items_at_once(bed: Bed, count: int) -> Row:
    """Measure several 1080p renders of a known presenter at once, each in a process of its own."""
    job: dict[str, Any] = {
        "clip": str(bed.inputs.video("1080p", fps=25, seconds=10)),
        "speech": {"known": str(bed.inputs.recording(20))},
    }
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda _: bed.render(**job), range(count)))
    speeds = [median(each.frames / each.fps / each.cost.wall for each in renders.renders) for renders in found]
    return Row(
        section="Several items at once, 1080p25, known presenter",
        name=f"{count} {'item' if count == 1 else 'items'}",
        values={
            "x real time, together": sum(speeds),
            "x real time, each": median(speeds),
            "MiB each": max(each.cost.peak for each in found),
        },
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.card", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--out", type=Path, default=Path(".cache/bench-gpu.json"))
    options = parser.parse_args(arguments)
    name = card_name(options.device)
    if name is None:
        print(NO_CARD)
        return 1
    values = {"rounds": options.rounds, "extra": {"device": options.device}}
    bed = Bed.beside(options.out, clip=options.clip, speech=options.speech, weights=options.weights, **values)
    bed.enter()
    before = {**versions(), "card": name}
    rows = list(card_rows(bed, options.device))
    print(as_markdown(rows, before))
    write_json(options.out, as_json(rows, before))
    options.out.with_suffix(".md").write_text(as_markdown(rows, before), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
