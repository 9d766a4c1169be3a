"""Run work orders with a RenderSession: translate the order into a request and the report into a result."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.lipsync.engines import engine_names
from heygem_daemon.lipsync.kernel_setup import compile_kernels
from heygem_daemon.lipsync.loading import release_memory
from heygem_daemon.lipsync.model_files import verify
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.progress import Progress
from heygem_daemon.lipsync.render_request import RenderReport, RenderRequest
from heygem_daemon.worker.loop import OnStep
from heygem_daemon.worker.options import WorkerOptions


class LipSyncSession:
    """worker.loop.Session over lipsync.pipeline.RenderSession.

    A device that cannot be used fails every order with its reason (`device_unavailable`) instead of the worker's start, so that
    the reason is shown in the status of the job.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._session: RenderSession | None = None

    def prepare(self, on_step: Callable[[], None]) -> None:
        """Load the engines, and compile the kernels where that was not done at set-up: for another CPU, or another version."""
        seconds = compile_kernels(on_step)
        if seconds is not None:
            sys.stderr.write(f"the drawing loops were compiled for this CPU, which took {seconds:.1f} s; the next start finds them\n")
        for name in engine_names():
            with suppress(HeygemError):  # an order that needs a missing model or device fails with the reason
                self._render_session().load(name)
            on_step()
        release_memory()

    def device(self) -> str:
        try:
            return self._render_session().device
        except HeygemError as problem:
            return f"{self._options.device} ({problem.code})"

    def models(self) -> Mapping[str, str]:
        return {finding.model.name: finding.model.sha256 for finding in verify(self._options.models) if finding.is_valid}

    def run(self, order: WorkOrder, on_step: OnStep) -> Mapping[str, Any]:
        """Raises HeygemError."""

        def on_progress(step: Progress) -> None:
            on_step(step.stage, step.done, step.total)

        return result_of(self._render_session().render(request_of(order), on_progress))

    def _render_session(self) -> RenderSession:
        if self._session is None:
            options = self._options
            self._session = RenderSession(
                models_dir=options.models,
                cache_dir=options.cache,
                device=options.device,
                threads=options.threads,
                cache_bytes=options.cache_bytes,
                limits=options.limits,
                wav2lip=options.wav2lip,
                hardware_codecs=options.hardware_codecs,
            )
        return self._session


def request_of(order: WorkOrder) -> RenderRequest:
    return RenderRequest(
        recording=Path(order.recording),
        video=Path(order.video),
        output=Path(order.output),
        thumbnail=Path(order.thumbnail),
        explain=Path(order.explain),
        script=Path(order.script) if order.script else None,
        options=order.options,
        verify=False,  # the publisher does, on the share: a second time here would cost another pass over the whole result
    )


def result_of(report: RenderReport) -> dict[str, Any]:
    """Return the metrics as JSON has them; `fps` is `frame_rate` rounded, for readers without fractions."""
    return {**asdict(report), "fps": round(float(Fraction(report.frame_rate)), 3), "warnings": list(report.warnings)}
