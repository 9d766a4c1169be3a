"""The real session in a real worker process: orders in, results and failures out."""

import dataclasses
import subprocess
from functools import partial
from pathlib import Path

import pytest

from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkFailed, WorkOrder, WorkProgress, WorkSucceeded
from heygem_daemon.executors.inline import InlineExecutor
from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command
from heygem_daemon.lipsync.engines import NO_OPTIONS, Wav2LipOptions
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.worker.options import WorkerOptions
from heygem_daemon.worker.session import LipSyncSession, request_of
from tests.executors.contract import failed, order, run, wait_free


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    voice = "aevalsrc='0.3*sin(2*PI*140*t)*(0.5+0.5*sin(2*PI*2.5*t))+0.2*sin(2*PI*700*t)*(0.5+0.5*sin(2*PI*2.5*t))':d=0.8:s=16000"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", voice, str(path)), check=True)
    return path


def render_order(token: str, folder: Path, recording: Path, video: Path) -> WorkOrder:
    plain = order(token)
    return dataclasses.replace(
        plain, recording=str(recording), video=str(video), output=str(folder / "result.mp4"), thumbnail=str(folder / "result.jpg")
    )


def test_a_worker_process_makes_a_result_and_refuses_a_bad_video_and_goes_on(
    tmp_path: Path, weights: Path, recording: Path, portrait: Path
) -> None:
    limits, wav2lip = MediaLimits(video_seconds=30), Wav2LipOptions(checkpoint="mine", licence_confirmed=True)
    setup = WorkerSetup(models=weights, cache=tmp_path / "cache", threads=1, cache_bytes=20 * 2**30, limits=limits, wav2lip=wav2lip)
    executor = LocalExecutor(
        ["cpu"],
        lambda name, device: worker_command(setup, name, device),
        log=lambda *_arguments, **_fields: None,
    )
    try:
        wait_free(executor, 240)
        (tmp_path / "bad.mp4").write_text("no video", encoding="ascii")
        refused = run(executor, render_order("t1", tmp_path, recording, tmp_path / "bad.mp4"))[-1]
        assert isinstance(refused, WorkFailed)
        assert (refused.kind, refused.failure.code) == ("input", "not_a_video")
        wav2lip_order = dataclasses.replace(render_order("t3", tmp_path, recording, portrait), options=RenderOptions(engine="wav2lip"))
        unowned = run(executor, wav2lip_order)[-1]
        assert isinstance(unowned, WorkFailed)
        assert (unowned.kind, unowned.failure.code) == ("setup", "checkpoint_missing")
        assert "mine" in unowned.failure.message
        reports = run(executor, render_order("t2", tmp_path, recording, portrait), seconds=120)
        assert isinstance(reports[-1], WorkSucceeded), reports[-1]
        assert {"analyse", "render"} <= {report.stage for report in reports if isinstance(report, WorkProgress)}
        result = reports[-1].result
        assert (result["frames"], result["frame_rate"], result["fps"]) == (20, "25", 25.0)
        assert (tmp_path / "result.mp4").stat().st_size > 1000
        assert (tmp_path / "result.jpg").stat().st_size > 1000
        (worker,) = executor.workers()
        assert worker.device == "cpu"
        assert set(worker.models) == {"face_detector", "face_mesh"}
    finally:
        executor.stop(5)


def options(folder: Path, device: str) -> WorkerOptions:
    return WorkerOptions(
        models=folder / "none", cache=folder, device=device, threads=1, cache_bytes=0, limits=MediaLimits(), wav2lip=NO_OPTIONS
    )


def test_missing_models_and_devices_fail_the_order_and_not_the_worker(tmp_path: Path, recording: Path, portrait: Path) -> None:
    for device, code in (("cpu", "models_missing"), ("cuda:77", "device_unavailable")):
        executor = InlineExecutor(partial(LipSyncSession, options(tmp_path, device)))
        report = failed(run(executor, render_order("t1", tmp_path, recording, portrait))[-1])
        assert (report.kind, report.failure.code) == ("setup", code)
        assert LipSyncSession(options(tmp_path, device)).models() == {}
        executor.stop(0)


def test_an_order_holds_everything_that_a_request_needs() -> None:
    chosen = RenderOptions(fit="video", face="left", quality=20, label=True, text="hello", language="zh")
    work = dataclasses.replace(order("t1"), options=chosen, explain="/staging/explain.png")
    request = request_of(work)
    assert request.options == chosen
    assert (request.explain, request.diagnostic_image) == (Path("/staging/explain.png"), None)
    wanted = request_of(dataclasses.replace(work, options=dataclasses.replace(chosen, explain=True)))
    assert wanted.diagnostic_image == Path("/staging/explain.png")
    assert request.script is None
    assert request_of(dataclasses.replace(work, script="/drop/speech.txt")).script == Path("/drop/speech.txt")
    assert str(request.output) == work.output
