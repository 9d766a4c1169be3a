"""Make the order for a worker, with the options of the drop, else with those of the configuration."""

from pathlib import Path

from heygem_daemon.core.job import Item, Job
from heygem_daemon.core.publication import StagingPaths
from heygem_daemon.core.work import WorkOrder
from heygem_daemon.daemon.runtime_config import RuntimeConfig


def work_order(config: RuntimeConfig, job: Job, item: Item, *, root: Path, staged: StagingPaths, token: str) -> WorkOrder:
    """Return the order for one attempt; `root` is the folder of the claimed drop."""
    return WorkOrder(
        token=token,
        job_id=job.id,
        item=item.key,
        recording=str(root / item.recording),
        video=str(root / item.video),
        output=str(staged.result),
        thumbnail=str(staged.thumbnail),
        explain=str(staged.explain),
        script=str(root / item.script) if item.script else None,
        options=config.options.overridden_by(job.options),
        limit_seconds=config.item_seconds,
    )
