"""A short recording with a long video costs what the recording costs, and looks as it would with all of the video analysed."""

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from heygem_daemon.lipsync import needed_frames
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.media.verify import verify_result
from tests.lipsync.driver_contract import talk
from tests.lipsync.test_pipeline import write_wav


def test_only_the_part_of_the_video_that_is_shown_or_learned_is_analysed(
    tmp_path: Path, weights: Path, portrait_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needed_frames, "LEARNED_FRAMES", 20)
    long = tmp_path / "long.mp4"
    command = ("ffmpeg", "-v", "error", "-stream_loop", "9", "-i", str(portrait_clip), "-c:v", "copy", "-an", str(long))
    subprocess.run(command, check=True, timeout=60)
    request = RenderRequest(recording=write_wav(tmp_path / "speech.wav", talk(1.0)), video=long, output=tmp_path / "result.mp4")
    steps: list[Progress] = []
    report = RenderSession(weights, tmp_path / "cache", device="cpu", threads=1).render(request, steps.append)
    verify_result(
        request.output,
        frames=report.frames,
        frame_rate=Fraction(report.frame_rate),
        seconds=report.seconds,
        size=(report.width, report.height),
    )
    for stage in ("analyse", "harvest"):
        assert max(step.done for step in steps if step.stage == stage) <= 40
