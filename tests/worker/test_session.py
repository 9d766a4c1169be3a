"""The real session in a real worker process: orders in, results and failures out."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.work import WorkFailed, WorkOrder, WorkProgress, WorkSucceeded
from heygem_daemon.executors.inline import InlineExecutor
from heygem_daemon.executors.local import LocalExecutor, WorkerSetup, worker_command
from heygem_daemon.executors.worker_plan import WorkerPlan
from heygem_daemon.lipsync.engines import NO_OPTIONS, Wav2LipOptions, engine_names
from heygem_daemon.media.types import MediaLimits
from heygem_daemon.worker import session
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


@pytest.mark.slow  # tests/e2e/test_results.py has such a worker
def test_a_worker_process_makes_a_result_and_refuses_a_bad_video_and_goes_on(
    tmp_path: Path, weights: Path, recording: Path, portrait: Path
) -> None:
    limits, wav2lip = MediaLimits(video_seconds=30), Wav2LipOptions(checkpoint="mine", licence_confirmed=True)
    setup = WorkerSetup(models=weights, cache=tmp_path / "cache", threads=1, cache_bytes=20 * 2**30, limits=limits, wav2lip=wav2lip)
    executor = LocalExecutor(
        WorkerPlan(workers=(("cpu", "cpu"),), threads=1, reason=""),
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


@pytest.mark.parametrize("seconds", [None, 12.5])
def test_a_start_that_has_to_compile_tells_how_long_that_took(
    seconds: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[int] = []

    def compile_kernels(on_step: Callable[[], None]) -> float | None:
        on_step()
        return seconds

    monkeypatch.setattr(session, "compile_kernels", compile_kernels)
    LipSyncSession(options(tmp_path, "cpu")).prepare(lambda: steps.append(1))
    assert ("took 12.5 s" in capsys.readouterr().err) is (seconds is not None)
    assert len(steps) == 1 + len(engine_names()), "every part shows that it is done"


@pytest.mark.slow
def test_a_worker_starts_without_libraries_that_few_jobs_need() -> None:
    code = (
        "import os, sys\n"
        "import heygem_daemon.worker.__main__, heygem_daemon.worker.session\n"
        "import heygem_daemon.lipsync.speech.phonetic, heygem_daemon.lipsync.atlas.renderer, numpy\n"
        "numpy.ones((500, 500)) @ numpy.ones((500, 500))\n"
        "print(len(os.listdir('/proc/self/task')), *sys.modules)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}}
    done = subprocess.run((sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=True, timeout=120)
    threads, *loaded = done.stdout.split()
    assert not {"librosa", "matplotlib", "sklearn", "scipy.signal", "scipy.spatial", "scipy.stats"} & set(loaded)
    assert threads == "1", "the threads of numpy's OpenBLAS wait by spinning"
