"""What a worker is told to do: what the drop says, else what the configuration says."""

from dataclasses import dataclass
from pathlib import Path

from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.ports import StagingPaths
from heygem_daemon.core.work import WorkOrder


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What an item gets where its drop does not say."""

    engine: str
    fit: str
    face: str
    quality: int
    visible_label: bool
    zip: bool
    explain: bool
    item_seconds: float
    reserve_bytes: int
    outputs: str
    engines: tuple[str, ...]


def work_order(defaults: Defaults, job: Job, item: Item, *, root: Path, staged: StagingPaths, token: str) -> WorkOrder:
    """Return the order for one attempt; `root` is the folder of the claimed drop."""
    options = job.options
    wants_picture = defaults.explain if options.explain is None else options.explain
    return WorkOrder(
        token=token,
        job_id=job.id,
        item=item.key,
        recording=str(root / item.recording),
        video=str(root / item.video),
        output=str(staged.result),
        thumbnail=str(staged.thumbnail),
        engine=options.engine or defaults.engine,
        fit=options.fit or defaults.fit,
        face=options.face or defaults.face,
        quality=defaults.quality if options.quality is None else options.quality,
        visible_label=defaults.visible_label if options.label is None else options.label,
        text=options.text,
        script=str(root / item.script) if item.script else None,
        language=options.language,
        explain=str(staged.explain) if wants_picture else "",
        limit_seconds=defaults.item_seconds,
    )
