"""A status file is bounded, whatever names, keys and texts a drop has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from heygem_daemon.core import drop
from heygem_daemon.core.drop import DropLimits, Entry
from heygem_daemon.core.job import Failure, Job
from heygem_daemon.core.names import escape_name
from heygem_daemon.core.status_builder import job_status

MAX_BYTES = 3 * 2**20
"""Of the status of a drop with 500 results. Names of 255 bytes that are no text take four times as much to show."""
ITEMS = 500

LIMITS = DropLimits(items=ITEMS, file_bytes=2**40)
NAMES = st.sampled_from(["x", "\udcff", "\u202e", '"', "\\", "\n", "\x01", "e\u0301", "我", "😀"])


def _fitting(unit: str) -> str:
    size = len(unit.encode("utf-8", "surrogateescape"))
    return unit * (240 // size)


@settings(max_examples=12, deadline=None)
@given(NAMES, NAMES, NAMES, st.booleans(), st.integers(min_value=0, max_value=60))
def test_the_status_of_any_drop_is_bounded(recording: str, video: str, other: str, has_batch: bool, empty: int) -> None:
    paths = [f"audios/{_fitting(recording)}.wav" if has_batch else "speech.wav"]
    paths += [f"videos/{_fitting(video)}{number:05}.mp4" for number in range(ITEMS)]
    paths += ["/".join([_fitting(other)] * 6) + f"/{_fitting(other)}{number}.mp4" for number in range(50)]
    entries = [Entry(path=path, size=int(not 1 <= place <= empty), mtime_ns=0, ctime_ns=0) for place, path in enumerate(paths)]
    plan = drop.plan(entries, job_toml='consent = "' + "c" * 1000 + '"\nowner = "' + "o" * 200 + '"', limits=LIMITS)
    assert plan.rejected is None
    job = Job(
        id="i",
        name=escape_name(_fitting(other)),
        inbox="/in",
        claimed="/c",
        output="o",
        options=plan.options,
        items=drop.items(plan, {}),
        warnings=plan.warnings,
    )
    assert len(job.items) == ITEMS
    assert len(job_status(job, now=0.0).to_json().encode()) < MAX_BYTES


@settings(max_examples=12, deadline=None)
@given(NAMES, st.sampled_from(["{} = 1", '"{}" = 1', "engine = '{}'", "{}", 'faces = {{ "{}" = 1 }}']))
def test_the_error_of_any_job_toml_is_bounded(unit: str, form: str) -> None:
    text = form.format(unit * 100_000)
    plan = drop.plan([Entry(path="speech.wav", size=1, mtime_ns=0, ctime_ns=0)], job_toml=text, limits=LIMITS)
    job = Job(
        id="i",
        name="n",
        inbox="/in",
        claimed="/c",
        output="o",
        options=plan.options,
        failure=Failure.of(plan.rejected) if plan.rejected else None,
    )
    assert len(job_status(job, now=0.0).to_json().encode()) < 16 * 1024
