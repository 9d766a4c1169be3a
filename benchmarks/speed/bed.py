"""Where the benchmark runs: the inputs, the model files, how often, and how a job gets a process of its own."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.speed.inputs import Inputs
from benchmarks.speed.processes import Cost, measure_command
from benchmarks.speed.render_job import Render, RenderJob

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = "heygem_daemon"


@dataclass(frozen=True, kw_only=True)
class Renders:
    """What a job measured; cost: of its whole process, with its start, the warm-up and the plain transcodes."""

    renders: tuple[Render, ...]
    cost: Cost

    def of(self, presenter: str) -> list[Render]:
        return [each for each in self.renders if each.presenter == presenter]


@dataclass(frozen=True, kw_only=True)
class Bed:
    """rounds: how often each measurement is repeated. package: the checkout whose code is measured. extra: further fields of jobs."""

    inputs: Inputs
    weights: Path
    rounds: int = 3
    package: Path = ROOT
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def beside(cls, out: Path, *, clip: Path | None, speech: Path | None, weights: Path, **values: Any) -> Self:
        """Return a bed whose inputs lie beside the report `out`."""
        folder = out.absolute().parent / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        inputs = Inputs(folder=folder, clip=clip and clip.absolute(), speech=speech and speech.absolute())
        return cls(inputs=inputs, weights=weights.absolute(), **values)

    def speech(self, seconds: float) -> dict[str, str]:
        """Return `RenderJob.speech` of that length for a new presenter and then a known one, in this order."""
        return {"new": str(self.inputs.recording(seconds)), "known": str(self.inputs.recording(seconds, start=0.5))}

    def render(self, **job: Any) -> Renders:
        """Run a RenderJob in a process of its own."""
        warm = {"warm_clip": str(self.inputs.video("480p", fps=25, seconds=1)), "warm_speech": str(self.inputs.recording(1))}
        filled = RenderJob(**{**warm, "weights": str(self.weights), "rounds": self.rounds, **self.extra, **job})
        cost, output = measure_command((sys.executable, "-m", "benchmarks.speed.render_job"), stdin=json.dumps(asdict(filled)))
        found = json.loads(output.splitlines()[-1])
        return Renders(renders=tuple(Render.from_json(each) for each in found["renders"]), cost=cost)

    def enter(self) -> None:
        """Let all processes that are started from now on find the measured package before ours, and nothing else of its checkout."""
        path = [str(ROOT)] if self.package == ROOT else [self._linked_package(), str(ROOT)]
        os.environ |= {"PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}

    def _linked_package(self) -> str:
        """Return a folder that has nothing but the measured package."""
        link = self.inputs.folder / "package" / PACKAGE
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self.package / PACKAGE)
        return str(link.parent)
