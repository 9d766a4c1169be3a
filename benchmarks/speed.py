"""Measure the frames per second of every stage, and the ratio to a plain ffmpeg decode + x264 encode of the same clip in the same run.

python -m benchmarks.speed RECORDING VIDEO [--weights weights] [--device cpu]
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest


def transcode(video: Path, frames: int, target: Path) -> float:
    """Return the seconds that ffmpeg needs for as many frames at the settings of our encoder."""
    command = ("ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(video), "-frames:v", str(frames), "-an")
    start = time.monotonic()
    subprocess.run((*command, "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p", str(target)), check=True)
    return time.monotonic() - start


def print_stages(label: str, report: RenderReport, wall: float, plain: float) -> None:
    """Print what a render took. wall, plain: the s that it and the plain transcode took."""
    print(f"{label}: {report.frames} frames in {wall:.1f} s = {report.frames / wall:.1f} fps; plain {report.frames / plain:.1f} fps;"
          f" ratio {wall / plain:.1f}")  # fmt: skip
    for stage, seconds in report.stage_seconds.items():
        print(f"    {stage:10} {seconds:7.2f} s  {report.frames / max(seconds, 1e-9):8.1f} output frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session = RenderSession(
            models_dir=options.weights, cache_dir=folder / "cache", device=options.device, threads=0, cache_bytes=10**10
        )
        request = RenderRequest(recording=options.recording.absolute(), video=options.video.absolute(), output=folder / "out.mp4")
        for label in ("new presenter", "known presenter"):
            start = time.monotonic()
            report = session.render(request, lambda _: None)
            wall = time.monotonic() - start
            print_stages(label, report, wall, transcode(options.video, report.frames, folder / "plain.mp4"))


if __name__ == "__main__":
    main()
