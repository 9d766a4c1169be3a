"""Measure the peak memory of a worker: a 10-second and a 5-minute 1080p video with speech of the same lengths.

    python -m benchmarks.memory VIDEO [--seconds 10 300]

VIDEO (any talking clip) is looped and scaled to 1080p. Each length runs in a process of its own with an empty cache; the peak is the
kernel's (ru_maxrss) of that process, its ffmpeg children apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RENDER = """
import json, resource, sys
from pathlib import Path
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest
folder, weights = Path(sys.argv[1]), Path(sys.argv[2])
session = RenderSession(models_dir=weights, cache_dir=folder / "cache", device="cpu", threads=2, cache_bytes=10**10)
request = RenderRequest(recording=folder / "speech.wav", video=folder / "video.mp4", output=folder / "out.mp4")
report = session.render(request, lambda step: None)
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps({"peak_mib": own, "largest_child_mib": child, "frames": report.frames, "stages": dict(report.stage_seconds)}))
"""


def make_inputs(source: Path, folder: Path, seconds: float) -> None:
    """Write video.mp4 and speech.wav of that length into `folder`."""
    filters = "scale=1920:1080:force_original_aspect_ratio=decrease,pad=1920:1080:(ow-iw)/2:(oh-ih)/2,format=yuv420p"
    common = ("ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(source), "-t", str(seconds))
    subprocess.run((*common, "-an", "-vf", filters, "-preset", "ultrafast", "-r", "25", str(folder / "video.mp4")), check=True)
    subprocess.run((*common, "-vn", "-ac", "1", str(folder / "speech.wav")), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 300])
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    options = parser.parse_args()
    for seconds in options.seconds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_inputs(options.video, folder, seconds)
            command = (sys.executable, "-c", RENDER, str(folder), str(options.weights.absolute()))
            measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            stages = ", ".join(f"{stage} {duration:.1f} s" for stage, duration in measured["stages"].items())
            peaks = f"peak {measured['peak_mib']:.0f} MiB (largest ffmpeg child {measured['largest_child_mib']:.0f} MiB)"
            print(f"{seconds:6.0f} s  {measured['frames']:6} frames  {peaks}  {stages}", flush=True)


if __name__ == "__main__":
    main()
