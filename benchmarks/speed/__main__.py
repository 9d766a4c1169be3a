"""Measure what a lip sync costs, beside a plain ffmpeg transcode of the same clip in the same run (`make bench`).

    python -m benchmarks.speed [--quick | --long] [-k NAME ...] [--clip VIDEO ...] [--speech RECORDING] [--list]

The table is printed and written as markdown and JSON (.cache/bench.md, .cache/bench.json). Ratios are medians of what was measured in
turns; they hold on a busy machine too, those of CPU time more than those of wall-clock time. All inputs are made of one clip and one
recording: of the first --clip and --speech, or of the sample of `make demo`. Each --clip is also measured as it is.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.speed import check
from benchmarks.speed.bed import ROOT, Bed
from benchmarks.speed.drawing import drawing_measurements
from benchmarks.speed.renders import render_measurements
from benchmarks.speed.report import as_json, as_markdown, versions, write_json
from benchmarks.speed.rows import Measurement, Row, chosen
from benchmarks.speed.services import service_measurements
from benchmarks.speed.usual_loop import usual_loop

LENGTHS: Final = (60, 600, 3600, 7200)
"""s; those over a minute are measured with --long."""


def measurements(bed: Bed, options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield every measurement that can be chosen."""
    yield from render_measurements(bed, options.clip, LENGTHS)
    yield from drawing_measurements(bed)
    yield from service_measurements(bed, options.videos)
    yield Measurement(name="usual loop", measure=partial(usual_loop, bed))


def run(chosen_ones: Sequence[Measurement]) -> Iterator[Row]:
    """Yield the rows of the measurements; name each on standard error before it begins."""
    for each in chosen_ones:
        print(f"measuring {each.name} ...", file=sys.stderr, flush=True)
        yield from each.measure()


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clip", type=Path, action="append", default=[], help="a talking clip; may be given several times")
    parser.add_argument("--speech", type=Path, help="a recording")
    parser.add_argument("--quick", action="store_true", help="a few minutes on two cores")
    parser.add_argument("--long", action="store_true", help="also lengths up to two hours, which take hours")
    parser.add_argument("-k", dest="words", action="append", default=[], help="only measurements whose name holds this; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of the measurements and end")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3; quick: 2)")
    parser.add_argument("--videos", type=int, default=10, help="of the job with many videos (10)")
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--package", type=Path, default=ROOT, help="another checkout, whose code is measured instead of this one's")
    parser.add_argument("--out", type=Path, default=Path(".cache/bench.json"), help="the JSON file; the table lies beside it")
    parser.add_argument("--check", action="store_true", help="compare with the committed baseline; exit status 1 if a ratio got worse")
    parser.add_argument("--baseline", action="store_true", help="write the committed baseline of what was measured")
    return parser.parse_args(arguments)


def make_bed(options: argparse.Namespace) -> Bed:
    """Return where it all runs."""
    rounds, clip = options.rounds or (2 if options.quick else 3), next(iter(options.clip), None)
    package = options.package.absolute()
    return Bed.beside(options.out, clip=clip, speech=options.speech, weights=options.weights, rounds=rounds, package=package)


def compare(report: dict[str, object]) -> int:
    """Print what got worse, and what got better; return the exit status."""
    baseline = check.read_baseline()
    worse, better = check.worse(report, baseline), check.better(report, baseline)
    for title, lines in (("WORSE", worse), ("better", better)):
        for line in lines:
            print(f"{title}  {line}")
    if not worse:
        print("No ratio is worse than the baseline allows." + (" `make bench-baseline` keeps what got better." if better else ""))
    return 1 if worse else 0


def main() -> int:
    options = parse_arguments()
    bed = make_bed(options)
    every = chosen(list(measurements(bed, options)), words=options.words, quick=options.quick, long=options.long)
    if options.list:
        print("\n".join(each.name for each in every))
        return 0
    if not every:
        print("No measurement has such a name; --list names them.", file=sys.stderr)
        return 2
    if options.check and not check.BASELINE.exists():
        print(f"There is no {check.BASELINE}; `make bench-baseline` writes it.", file=sys.stderr)
        return 2
    bed.enter()
    before, rows = versions(), list(run(every))
    report, table = as_json(rows, before), as_markdown(rows, before)
    print(table)
    write_json(options.out, report)
    options.out.with_suffix(".md").write_text(table, encoding="utf-8")
    if options.baseline:
        write_json(check.BASELINE, check.baseline_of(report))
    return compare(report) if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
