"""Measure sync and image quality of the default engine on presenters driven by other people's recordings, by an independent yardstick.

    python -m benchmarks.quality --yardstick MEASURE.py --out DIR TARGET.mp4=RECORDING [TARGET.mp4=RECORDING ...]

RECORDING may be an audio file, or a video whose own frames are then the truth; "video.mp4@0.04" gives the constant offset of that
footage in s (positive = its mouth is late). Weights that were not trained on those people belong into
WEIGHTS/local/phonetic.safetensors. The yardstick takes
`RESULT --audio A --source S [--truth V --truth-offset=SECONDS] --models DIR --json` and prints its metrics as one JSON object.
r and lag: target opening against measured opening (re-tracked in the encoded result), on the frames that are `driven`; truth_r: against the
real mouth of the recording's speaker.
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


def measure(
    yardstick: Path, weights: Path, result: Path, target: Path, recording: Path, offset: str = "", truth: Path | None = None
) -> dict[str, float]:
    """Return the yardstick's metrics of `result`. truth: a video with the true mouth; without one, the recording if it is a video."""
    command = [sys.executable, str(yardstick), str(result), "--audio", str(recording), "--source", str(target)]
    if truth is None and recording.suffix in {".mp4", ".mov", ".mpg"}:
        truth = recording
    if truth is not None:
        command += ["--truth", str(truth), f"--truth-offset={offset or 0}"]
    printed = subprocess.run([*command, "--models", str(weights), "--json"], check=True, capture_output=True, text=True).stdout
    metrics: dict[str, float] = json.loads(printed)
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--yardstick", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    session = RenderSession(models_dir=options.weights, cache_dir=options.out / "cache", device="auto")
    print(f"{'target':28} {'recording':28} {'r':>6} {'lag_ms':>6} {'driven':>6} " + " ".join(f"{name:>15}" for name in COLUMNS), flush=True)
    for pair in options.pairs:
        name, _, offset = pair.partition("@")
        target, recording = (Path(part).absolute() for part in name.split("="))
        output = options.out.absolute() / f"{target.stem}__{recording.stem}.mp4"
        report = session.render(RenderRequest(recording=recording, video=target, output=output, thumbnail=output.with_suffix(".jpg")))
        metrics = measure(options.yardstick, options.weights, output, target, recording, offset)
        cells = " ".join(f"{metrics.get(name, float('nan')):15.3f}" for name in COLUMNS)
        print(f"{target.stem[:28]:28} {recording.stem[:28]:28} {report.mouth_correlation or float('nan'):6.3f} "
              f"{report.sync_offset_ms or 0:6.1f} {1 - report.frames_not_driven:6.0%} {cells}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
