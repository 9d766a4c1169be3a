"""How soon the page can be used with a long history, and how soon a change shows."""

import shutil
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.material import write_history
from tests.web.browser.screens import Queue
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web

JOBS: Final = 500
LOADS: Final = 5
USABLE: Final = {
    "/": "#recording-input[accept]",
    "/queue": "#finished-jobs .job-row",
    "/history": "#gallery a",
    "/system": "#system-body:not([hidden])",
}
"""Screen -> what it is there for."""


@pytest.fixture(scope="module")
def old_site(finished: WebSite, weights: Path, presenters: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """An installation with JOBS finished jobs, whose page has been running for a moment."""
    with WebSite(folder=tmp_path_factory.mktemp("old") / "site", weights=weights, cache=presenters) as made:
        shutil.copytree(finished.outputs / "lesson", made.outputs / "lesson")
        write_history(made.outputs, "lesson", JOBS)
        made.start_page()
        with made.client() as client:
            made.wait_for(lambda: client.get("/jobs?limit=1").json()["total"] > JOBS, "the history was not read")
        yield made


@pytest.mark.parametrize("path", USABLE)
def test_a_screen_is_usable_within_a_second_with_five_hundred_jobs(
    old_site: WebSite, open_window: OpenWindow, measured: Callable[[str], None], path: str
) -> None:
    milliseconds = []
    for _ in range(LOADS):
        window = open_window(old_site)
        window.note_when(USABLE[path])
        window.go(path)
        milliseconds.append(window.noted())
        window.close()
    median = statistics.median(milliseconds)
    measured(
        f"{path} with {JOBS} jobs: usable after {median:.0f} ms, at best {min(milliseconds):.0f} ms ({LOADS} loads with an empty cache)"
    )
    assert median < 1000


def test_the_end_of_a_job_shows_within_two_seconds(
    site: WebSite, open_window: OpenWindow, measured: Callable[[str], None], speech: Path, portrait_clip: Path
) -> None:
    site.start()
    pause = site.inbox / "PAUSE"
    delays = []
    for name in ("one", "two", "three"):
        pause.touch()
        site.drop(name, speech, [portrait_clip])
        identity = site.wait_for_state(name, "queued", "waiting")["job"]
        window = open_window(site)
        window.note_when(f".job-row[data-job='{identity}'][data-state='succeeded']")
        Queue.of(window).expect_state(name, "queued", "waiting")
        pause.unlink()
        site.wait_for_state(name, "succeeded")
        written = (site.outputs / name / "status.json").stat().st_mtime
        origin: float = window.page.evaluate("performance.timeOrigin")
        delays.append((origin + window.noted()) / 1000 - written)
    measured(f"from the status file to the screen: {', '.join(f'{delay:.2f}' for delay in delays)} s")
    assert max(delays) < 2
