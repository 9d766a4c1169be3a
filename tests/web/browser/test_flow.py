"""From the files on a desk to a result that plays, batch and single, through the real browser, page and daemon."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.screens import JobScreen, NewJob, Queue
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web


def test_a_batch_goes_from_upload_to_playing_results_and_a_whole_zip(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, tmp_path: Path
) -> None:
    site.start()
    second = shutil.copyfile(portrait_clip, tmp_path / "second.mp4")
    window = open_window(site)
    form = NewJob.of(window)
    form.choose(speech, portrait_clip, second)
    form.sign("Monday lesson")
    form.start()
    site.wait_for(lambda: list(site.outputs.glob("Monday*/status.json")), "the daemon has not taken the drop")
    output = next(site.outputs.glob("Monday*")).name
    status = site.wait_for_state(output, "succeeded", timeout=300)
    assert "Tester" in status["consent"]
    assert len(status["items"]) == 2

    job = JobScreen.of(window, status["job"])
    job.expect_state("succeeded")
    seconds = status["items"][0]["seconds"]
    assert abs(job.duration() - seconds) < 0.1
    reached, frames = job.play(1.0)
    assert reached >= 1.0
    assert frames >= 15
    assert job.source.evaluate("video => video.currentTime") > 0.5, "the source runs on the clock of the result"
    with window.page.expect_download() as download:
        window.page.locator("#job-downloads a[href$='zip']").click()
    with zipfile.ZipFile(download.value.path()) as bundle:
        assert bundle.testzip() is None
        for item in status["items"]:
            result = (site.outputs / output / item["output"]).read_bytes()
            assert hashlib.sha256(bundle.read(item["output"])).digest() == hashlib.sha256(result).digest()


def test_one_video_and_one_recording_become_one_result_that_can_be_downloaded(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site.start()
    window = open_window(site)
    form = NewJob.of(window)
    form.single()
    form.choose(speech, portrait_clip)
    form.sign("single")
    form.start()
    status = site.wait_for_state("single", "succeeded", timeout=300)
    job = JobScreen.of(window, status["job"])
    assert job.duration() > 1
    with window.page.expect_download() as download:
        window.page.locator("#job-downloads a").first.click()
    assert download.value.path().read_bytes() == (site.outputs / "single" / status["items"][0]["output"]).read_bytes()


def test_a_trial_renders_the_first_seconds_only(site: WebSite, open_window: OpenWindow, portrait_clip: Path, long_speech: Path) -> None:
    site.start()
    form = NewJob.of(open_window(site))
    form.choose(long_speech, portrait_clip)
    form.sign("trial")
    form.page.locator("#trial").check()
    form.start()
    status = site.wait_for_state("trial", "succeeded", timeout=300)
    assert 4.8 < status["items"][0]["seconds"] < 5.2


def test_one_bad_video_fails_alone_and_its_screen_says_why(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, faceless: Path
) -> None:
    site.start()
    window = open_window(site)
    form = NewJob.of(window)
    form.choose(speech, portrait_clip, faceless)
    form.sign("mixed")
    form.start()
    status = site.wait_for_state("mixed", "partial", timeout=300)
    Queue.of(window).expect_state("mixed", "partial")
    job = JobScreen.of(window, status["job"])
    failed = window.page.locator(".item").filter(has_text=faceless.name)
    if failed.get_attribute("open") is None:
        failed.locator("summary").click()
    expect(failed).to_contain_text("No face")
    good = window.page.locator(".item").filter(has_text=portrait_clip.name)
    expect(good.locator(".badge.state-succeeded")).to_be_visible()
    assert job.duration() > 1
