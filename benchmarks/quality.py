"""Sync and picture of the default engine: presenters driven by other people's recordings, judged by an independent yardstick.

    python benchmarks/quality.py --yardstick MEASURE.py --out DIR TARGET.mp4=RECORDING [TARGET.mp4=RECORDING ...]

RECORDING may be a sound file, or a video whose own picture is then the truth; "video.mp4@0.04" tells the constant offset of that
footage in s (positive = its mouth is late). Weights that were not trained on those people belong into
WEIGHTS/local/phonetic.safetensors. The yardstick takes
`RESULT --audio A --source S [--truth V] --models DIR --json` and prints its figures as one JSON object. r and lag: opening asked
against opening obtained (re-tracked in the encoded result); truth_r: against the real mouth of the recording's speaker.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest

COLUMNS = (
    "frames_error",
    "untouched_psnr",
    "mouth_sharpness",
    "jitter",
    "truth_r",
    "truth_lag_ms",
    "truth_closed",
    "silence_motion",
    "speech_motion",
)


def judge(
    yardstick: Path, weights: Path, result: Path, target: Path, recording: Path, offset: str = "", truth: Path | None = None
) -> dict[str, float]:
    command = [sys.executable, str(yardstick), str(result), "--audio", str(recording), "--source", str(target)]
    if truth is None and recording.suffix in {".mp4", ".mov", ".mpg"}:
        truth = recording
    if truth is not None:
        command += ["--truth", str(truth), f"--truth-offset={offset or 0}"]
    told = subprocess.run([*command, "--models", str(weights), "--json"], check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(told)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    session = RenderSession(models_dir=options.weights, cache_dir=options.out / "cache", device="auto")
    print(f"{'target':28} {'recording':28} {'r':>6} {'lag_ms':>6} " + " ".join(f"{name:>15}" for name in COLUMNS), flush=True)
    for pair in options.pairs:
        name, _, offset = pair.partition("@")
        target, recording = (Path(part).absolute() for part in name.split("="))
        output = options.out.absolute() / f"{target.stem}__{recording.stem}.mp4"
        report = session.render(RenderRequest(recording=recording, video=target, output=output, thumbnail=output.with_suffix(".jpg")))
        figures = judge(options.yardstick, options.weights, output, target, recording, offset)
        cells = " ".join(f"{figures.get(name, float('nan')):15.3f}" for name in COLUMNS)
        print(f"{target.stem[:28]:28} {recording.stem[:28]:28} {report.mouth_correlation or float('nan'):6.3f} "
              f"{report.sync_offset_ms or 0:6.1f} {cells}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
