"""What ended lately, counted from the records of the jobs: results by day and by engine, failures by code."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from heygem_daemon.core.error_catalog import CATALOG
from heygem_daemon.web.jobs.job_record import FAILURES, JobRecord
from heygem_daemon.web.models import CodeCount, DayStatistics
from heygem_daemon.web.words import catalog

DAYS: Final = 30
_MOST: Final = 100
"""Codes and engines that are listed; there are fewer, but others may write status files too."""
_ADDENDA: Final = frozenset({"found"})
"""Details that are sentences of their own."""


def lately(finished: Iterable[JobRecord], now: datetime) -> list[JobRecord]:
    """Return the jobs that ended within the last DAYS days, today included; `finished` comes newest first, `now` has a time zone."""
    first = (now - timedelta(days=DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    return list(takewhile(lambda job: job.ended >= first, finished))


def by_day(jobs: Iterable[JobRecord], now: datetime) -> list[DayStatistics]:
    """Return what ended on each of the last DAYS days, the oldest first; a job that was rejected as a whole is one failure."""
    days = [now - timedelta(days=days) for days in range(DAYS - 1, -1, -1)]
    totals: dict[str, list[float]] = {day.strftime("%Y-%m-%d"): [0, 0, 0.0, 0.0] for day in days}
    sums = list(totals.values())
    # A comparison of times: to make a date of each of thousands of jobs takes longer than all the rest.
    ends = [day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() for day in days]
    for job in jobs:
        place = bisect_right(ends, job.ended) - 1
        if place >= 0:
            failed = job.failed or (1 if job.state in FAILURES and not job.total else 0)
            for number, value in enumerate((job.done, failed, job.video_seconds, job.work_seconds)):
                sums[place][number] += value
    return [
        DayStatistics(day=name, succeeded=int(day[0]), failed=int(day[1]), video_seconds=round(day[2], 1), work_seconds=round(day[3], 1))
        for name, day in totals.items()
    ]


def by_code(jobs: Iterable[JobRecord], language: str) -> list[CodeCount]:
    """Return the failures by their code, the most frequent first."""
    counts = Counter(code for job in jobs for code in job.codes)
    return [CodeCount(code=code, count=count, message=_sentence(code, language)) for code, count in counts.most_common(_MOST)]


def _sentence(code: str, language: str) -> str:
    """Return what a code says in general: the sentence of the table of errors, with the details of the single case left out."""
    spec = CATALOG.get(code)
    if known := catalog(language).get(f"error.{code}"):
        return known
    return code if spec is None else spec.message.format_map(_LeftOut())


class _LeftOut(dict[str, "_Gap"]):
    def __missing__(self, key: str) -> "_Gap":
        return _Gap("" if key in _ADDENDA else "…")


class _Gap(str):
    """Stands for a detail, whatever it is formatted as."""

    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        return str(self)


def by_engine(jobs: Iterable[JobRecord]) -> dict[str, int]:
    """Return the results by engine, the most used first."""
    counts: Counter[str] = Counter()
    for job in jobs:
        for engine, count in job.engines:
            counts[engine] += count
    return dict(counts.most_common(_MOST))
