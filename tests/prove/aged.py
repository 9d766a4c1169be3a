"""Make an installation look as if it had worked for years: old results, old inputs, a long history, drops that wait."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import Item, Job, State
from heygem_daemon.core.names import RECORD
from heygem_daemon.core.status_builder import job_status
from heygem_daemon.ledger.sqlite import SqliteLedger

DAY: Final = 86400.0
_LINKS: Final = 20_000
"""ext4 allows 65,000 names of one file."""
_JOBS_AT_ONCE: Final = 1000


@dataclass(kw_only=True)
class Linked:
    """Gives a file many names; its content is copied once for every 20,000.

    A new name, and one that is deleted, changes the ctime of all: drops that are on their way in have files of their own, see `apart`."""

    source: Path
    folder: Path
    _count: int = 0
    _copies: list[Path] = field(default_factory=list)

    def apart(self) -> "Linked":
        """Return one for the same content whose names are not those of this one."""
        folder = self.folder / "apart"
        folder.mkdir(exist_ok=True)
        return Linked(source=self.source, folder=folder)

    def to(self, target: Path) -> None:
        if self._count % _LINKS == 0:
            copy = self.folder / f"{self.source.name}.{self._count}"
            copy.write_bytes(self.source.read_bytes())
            self._copies.append(copy)
        self._count += 1
        os.link(self._copies[-1], target)


def make_drops(folder: Path, names: Iterator[str] | list[str], speech: Linked, video: Linked) -> None:
    """Put drops of one recording and one video into `folder`."""
    for name in names:
        drop = folder / name
        (drop / "videos").mkdir(parents=True)
        speech.to(drop / "speech.wav")
        video.to(drop / "videos" / "a.mp4")


def copy_drop(folder: Path, name: str, speech: Path, video: Path) -> None:
    """Put a drop with files of its own into `folder`, at once."""
    made = folder.parent / name
    (made / "videos").mkdir(parents=True)
    shutil.copyfile(speech, made / "speech.wav")
    shutil.copyfile(video, made / "videos" / "a.mp4")
    made.rename(folder / name)


def make_old_drops(folder: Path, count: int, now: float, *, expired: int, days: float, speech: Linked, video: Linked) -> None:
    """Fill _done or _failed; the first `expired` are older than `days`."""
    folder.mkdir(exist_ok=True)
    names = [f"{folder.name}-{number}" for number in range(count)]
    make_drops(folder, names, speech, video)
    for number, name in enumerate(names):
        record = folder / name / RECORD
        record.write_text(json.dumps({"job": f"20250101-000000-{name.strip('_')}", "name": name, "flat": False}), encoding="utf-8")
        archived = now - (days + 1) * DAY if number < expired else now - DAY
        os.utime(record, (archived, archived))


def make_results(outputs: Path, names: list[str], inbox: Path, ledger_file: Path, film: Linked, now: float) -> None:
    """Publish a result under each name, with its status and its row in the ledger, an hour and more ago."""
    ledger = SqliteLedger(ledger_file)
    jobs: list[Job] = []
    for number, name in enumerate(names):
        job = old_job(name, inbox, number, now)
        (outputs / name).mkdir()
        film.to(outputs / name / "a.mp4")
        (outputs / name / "status.json").write_text(job_status(job, now=now).to_json(), encoding="utf-8")
        jobs.append(job)
        if len(jobs) == _JOBS_AT_ONCE:
            ledger.put(*jobs)
            jobs.clear()
    ledger.put(*jobs)
    ledger.close()


def old_job(name: str, inbox: Path, number: int, now: float, state: State = State.SUCCEEDED) -> Job:
    """Return a job that ended an hour and more ago."""
    ended = now - 3600 - number
    item = Item(key="a", recording="speech.wav", video="videos/a.mp4", output="a.mp4", thumbnail="thumbnails/a.jpg", state=state)
    job_id = f"20250101-000000-old-{number}"
    return Job(
        id=job_id,
        name=name,
        inbox=str(inbox),
        claimed=str(inbox / ".heygem/claimed" / job_id),
        output=name,
        items=(item,),
        state=state,
        since=ended,
        dropped_at=ended - 60,
        queued_at=ended - 50,
        started_at=ended - 40,
        finished_at=ended,
    )
