"""Measure how fast the atlas renderer draws, on one core or a GPU, without decoding and encoding.

python -m benchmarks.render_speed VIDEO [--device cpu|cuda:0] [--frames 200] [--models weights]
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from heygem_daemon.lipsync.atlas.renderer import AtlasRenderer
from heygem_daemon.lipsync.face.track_video import track_video
from heygem_daemon.lipsync.motion import VISEMES, MouthMotion
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader


def syllable_motion(count: int, rate: float) -> MouthMotion:
    """Return motion that opens and closes four times a second."""
    times = np.arange(count) / rate
    visemes = np.zeros((count, len(VISEMES)), np.float32)
    visemes[:, 0] = 1
    opening = (0.5 - 0.5 * np.cos(2 * np.pi * 4 * times)).astype(np.float32)
    return MouthMotion(times=times, opening=opening, width=np.full(count, 0.5, np.float32), visemes=visemes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--models", type=Path, default=Path("weights"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    info = probe(options.video.resolve())
    if info.video is None:
        parser.error("not a video")
    frames = list(VideoReader(info).frames(0, options.frames))
    with tempfile.TemporaryDirectory() as scratch:
        size, rate = (info.video.width, info.video.height), info.video.frame_rate
        tracks = track_video(
            VideoReader(info).frames(), size=size, frame_rate=rate, models=options.models, directory=Path(scratch) / "tracks"
        )
        renderer = AtlasRenderer(options.device, options.models)
        start = time.perf_counter()
        prepared = renderer.prepare(info, tracks, Path(scratch) / "atlas", lambda _: None)
        prepared_s = time.perf_counter() - start
        wall, cpu = time.perf_counter(), time.process_time()
        count = sum(1 for _ in renderer.render(prepared, frames, [syllable_motion(len(frames), float(rate))]))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scale = float(np.median(prepared.presenter.faces.scale))
    print(f"{options.video.name}: {size[0]}x{size[1]}, eye corners {scale:.0f} px apart, device {options.device}")
    print(
        f"prepare {prepared_s:.1f} s for {tracks.frames} frames; render {count / wall:.1f} fps ({1000 * cpu / count:.1f} ms CPU per frame)"
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
