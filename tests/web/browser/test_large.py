"""Files of two gigabytes: uploaded in flat memory and past a crash of the page, given up, and sought in at once."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from threading import Event, Thread
from typing import Final

import psutil
import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.material import enlarge, sha256_of, write_large_result
from tests.web.browser.screens import JobScreen, NewJob
from tests.web.browser.web_site import WebSite, resident_bytes

pytestmark = [pytest.mark.web, pytest.mark.timeout(1200)]

SIZE: Final = 2 * 2**30
MOST_MEMORY: Final = 200 * 10**6
NEEDED: Final = 3 * SIZE
SECONDS: Final = 600
EXPIRY_SECONDS: Final = 4.0


@pytest.fixture
def large_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for some gigabytes, which are deleted at the end of the test."""
    if shutil.disk_usage(tmp_path).free < NEEDED:
        pytest.skip(f"the test needs {NEEDED / 1e9:.0f} GB of free disk space")
    folder = tmp_path / "large"
    folder.mkdir()
    yield folder
    shutil.rmtree(tmp_path, ignore_errors=True)


class Peak:
    """The largest memory of a process, and of its children, while one looks."""

    def __init__(self) -> None:
        self.own = self.children = 0

    @contextmanager
    def of(self, process: "Popen[bytes]") -> Iterator[None]:
        ended = Event()

        def look() -> None:
            while process.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    own, children = resident_bytes(process)
                    self.own, self.children = max(self.own, own), max(self.children, children)
                if ended.wait(0.1):
                    return

        thread = Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def received(site: WebSite) -> int:
    """Return the bytes of the largest unfinished upload."""
    return max((path.stat().st_size for path in site.uploads()), default=0)


def test_two_gigabytes_are_uploaded_past_a_crash_of_the_page_in_flat_memory(
    make_site: MakeSite,
    open_window: OpenWindow,
    large_folder: Path,
    speech: Path,
    portrait_clip: Path,
    measured: Callable[[str], None],
) -> None:
    video = large_folder / "large.mp4"
    sum_before = enlarge(portrait_clip, SIZE, video)
    site = make_site()
    page = site.start_page()
    idle, _ = resident_bytes(page)
    window = open_window(site)
    window.expect_faults("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED_ENCODING")
    form = NewJob.of(window)
    peak = Peak()
    with peak.of(page):
        begun = time.monotonic()
        form.choose(speech, video)
        site.wait_for(lambda: received(site) > 0.4 * SIZE, "the upload does not come on", timeout=SECONDS)
        speed = received(site) / (time.monotonic() - begun)
    site.kill(page)
    at_the_cut = received(site)
    assert at_the_cut < SIZE
    assert site.drops() == []

    page = site.start_page()
    with peak.of(page):
        form.sign("large")
        site.wait_for(lambda: received(site) != at_the_cut, "the upload does not go on", timeout=60)
        assert received(site) > at_the_cut - 64 * 2**20, "it goes on where it was cut"
        form.start()
        site.wait_for(lambda: site.drops() == ["large"], "no drop", timeout=SECONDS)
    (uploaded,) = (site.inbox / "large" / "videos").iterdir()
    assert uploaded.stat().st_size == SIZE
    assert sha256_of(uploaded) == sum_before
    assert received(site) < 2**20, "no second copy"
    measured(f"page: {idle / 1e6:.0f} MB idle, at most {peak.own / 1e6:.0f} MB while {SIZE / 1e9:.1f} GB came in")
    measured(f"its processes that look at faces and waveforms: at most {peak.children / 1e6:.0f} MB")
    measured(f"upload from the browser: {speed / 1e6:.0f} MB/s")
    assert peak.own < MOST_MEMORY
    assert peak.children < 2 * MOST_MEMORY


def test_a_tab_that_is_closed_in_the_middle_of_an_upload_leaves_no_drop(
    make_site: MakeSite, open_window: OpenWindow, large_folder: Path, speech: Path, portrait_clip: Path
) -> None:
    video = large_folder / "large.mp4"
    enlarge(portrait_clip, SIZE, video)
    site = make_site(web=f"draft_hours = {EXPIRY_SECONDS / 3600}\n")
    page = site.start_page()
    site.start()
    window = open_window(site)
    form = NewJob.of(window)
    form.choose(speech, video)
    form.sign("given up")
    form.page.locator("#start").click()
    site.wait_for(lambda: received(site) > 32 * 2**20, "the upload does not come on", timeout=SECONDS)
    window.page.close(run_before_unload=False)
    closed = time.monotonic()
    assert 0 < received(site) < SIZE
    assert site.drops() == []
    site.kill(page)
    site.wait_for(lambda: time.monotonic() > closed + 2 * EXPIRY_SECONDS, "the clock stands still")
    site.start_page()
    site.wait_for(lambda: not site.uploads(), "what nobody continues was not deleted")
    assert site.drops() == []
    assert not list(site.outputs.glob("*/status.json"))
    assert not site.events("drop_claimed")


def test_a_seek_in_a_result_of_two_gigabytes_is_immediate(
    finished: WebSite, open_window: OpenWindow, large_folder: Path, measured: Callable[[str], None]
) -> None:
    large = write_large_result(large_folder, SIZE)
    assert large.stat().st_size > 0.9 * SIZE
    folder = finished.outputs / "large"
    shutil.copytree(finished.outputs / "lesson", folder, ignore=shutil.ignore_patterns("status.json"))
    status = json.loads((finished.outputs / "lesson" / "status.json").read_text(encoding="utf-8"))
    status |= {"job": "20260101-000000-large-abcdef", "name": "large", "output": "large"}
    large.replace(folder / status["items"][0]["output"])
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    try:
        window = open_window(finished)
        window.expect_faults("status of 404.*/sources/")  # the made-up job has no inputs
        finished.wait_for(lambda: window.context.request.get("/api/v1/jobs/large").ok, "the job is not in the history")
        job = JobScreen.of(window, "large")
        assert job.duration() > 60
        milliseconds = [job.seek(part) for part in (0.8, 0.3, 0.9)]
        expect(job.result).to_have_js_property("error", None)
        measured(
            f"seek in a result of {SIZE / 1e9:.1f} GB until its frame is there: {', '.join(f'{each:.0f}' for each in milliseconds)} ms"
        )
        assert max(milliseconds) < 1000
        begun = time.monotonic()
        url = f"{finished.address}/api/v1/jobs/large/files/{status['items'][0]['output']}"
        answer = window.context.request.get(url, headers={"Range": f"bytes={int(0.8 * SIZE)}-{int(0.8 * SIZE) + 65535}"})
        assert (answer.status, len(answer.body())) == (206, 65536)
        measured(f"range of 64 KiB at 80 % of it: {(time.monotonic() - begun) * 1000:.0f} ms")
    finally:
        shutil.rmtree(folder)
