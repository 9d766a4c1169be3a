"""The screen of a job: what was measured, its images, its log, its player and its downloads."""

import re
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.screens import JobScreen
from tests.web.browser.web_site import WebSite
from tests.web.browser.window import Window

pytestmark = pytest.mark.web

FRAME: Final = 1 / 25


def detail(window: Window, job: str) -> dict[str, Any]:
    """Return the job as the interface gives it to the same browser."""
    answer: dict[str, Any] = window.context.request.get(f"/api/v1/jobs/{job}").json()
    return answer


def time_of(video: Locator) -> float:
    seconds: float = video.evaluate("video => video.seeking ? -1 : video.currentTime")
    return seconds


def natural_width(image: Locator) -> int:
    """Scroll an image into view and return its width once it has been loaded; 0 where it cannot be."""
    image.scroll_into_view_if_needed()
    width: int = image.evaluate("async image => { await image.decode().catch(() => {}); return image.naturalWidth; }")
    return width


def test_every_measured_value_is_said_in_a_sentence(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished)
    JobScreen.of(window, "lesson").duration()
    verdicts = detail(window, "lesson")["items"][0]["verdicts"]
    assert len(verdicts) >= 3
    shown = window.page.locator(".verdicts .verdict")
    expect(shown).to_have_count(len(verdicts))
    for index, verdict in enumerate(verdicts):
        expect(shown.nth(index)).to_have_class(re.compile(verdict["level"]))
        expect(shown.nth(index).locator(".verdict-text")).to_have_text(verdict["text"])
        assert len(verdict["text"].split()) >= 3, "a sentence, not a number"


def test_before_and_after_and_the_diagnostic_image_are_shown_and_enlarge(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished)
    JobScreen.of(window, "lesson")
    buttons = window.page.locator(".item-images .image-button")
    expect(buttons).to_have_count(2)
    for button in buttons.all():
        width = natural_width(button.locator("img"))
        assert width > 100
        button.click()
        dialog = window.page.locator("dialog.image-dialog[open]")
        assert natural_width(dialog.locator("img")) == width
        small, large = button.locator("img").bounding_box(), dialog.locator("img").bounding_box()
        assert small is not None
        assert large is not None
        assert large["width"] > 1.2 * small["width"]
        window.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(button).to_be_focused()


def test_errors_and_warnings_come_with_what_to_do(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished)
    JobScreen.of(window, "mixed")
    window.page.locator(".item").first.wait_for()
    job = detail(window, "mixed")
    errors = [item["error"] for item in job["items"] if item["error"]]
    assert [each["code"] for each in errors] == ["no_face"]
    assert [each["code"] for each in job["warnings"]] == ["file_ignored"]
    for closed in window.page.locator(".item:not([open]) > summary").all():
        closed.click()
    for place, problems in (("#job-items", errors), ("#job-problems", job["warnings"])):
        shown = window.page.locator(f"{place} .problem")
        expect(shown).to_have_count(len(problems))
        for problem in problems:
            card = shown.filter(has_text=problem["message"])
            expect(card).to_be_visible()
            assert problem["hint"]
            expect(card).to_contain_text(problem["hint"])
            expect(card.locator("code")).to_have_text(problem["code"])


def test_the_log_shows_what_the_daemon_did(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished)
    JobScreen.of(window, "lesson")
    window.page.locator("#job-log summary").click()
    lines = window.context.request.get("/api/v1/jobs/lesson/log").json()["lines"]
    assert len(lines) > 3
    shown = window.page.locator("#job-log .log-lines li")
    expect(shown).to_have_count(len(lines))
    for index in (0, len(lines) - 1):
        expect(shown.nth(index)).to_contain_text(lines[index]["message"] or lines[index]["event"])
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.page.locator("#job-log .copy").click()
    expect(window.page.locator("#toasts")).to_contain_text("Copied")
    assert len(window.page.evaluate("navigator.clipboard.readText()").splitlines()) == len(lines)


@pytest.mark.parametrize(("control", "frames"), [("One frame on", 1), ("One frame back", -1)])
def test_a_step_moves_both_videos_by_exactly_one_frame(finished: WebSite, open_window: OpenWindow, control: str, frames: int) -> None:
    job = JobScreen.of(open_window(finished), "lesson")
    job.duration()
    expect(job.source).to_have_js_property("error", None)
    job.page.locator(".controls .seek").first.evaluate("seek => { seek.value = 10; seek.dispatchEvent(new Event('input')); }")
    start = 10.5 * FRAME
    stands_at(finished, job, start)
    button = job.page.get_by_role("button", name=control)
    for count in (1, 2, 3):
        button.click()
        stands_at(finished, job, start + count * frames * FRAME)


def stands_at(site: WebSite, job: JobScreen, seconds: float) -> None:
    """Wait until both videos stand at this time, a small part of a frame more or less."""
    for video in (job.result, job.source):
        site.wait_for(
            lambda video=video: abs(time_of(video) - seconds) < 0.05 * FRAME,  # type: ignore[misc]
            f"not at {seconds:.3f} s: {time_of(job.result):.3f} and {time_of(job.source):.3f}",
            timeout=20,
        )


def test_the_speed_of_playing_can_be_chosen_and_holds_for_both_videos(finished: WebSite, open_window: OpenWindow) -> None:
    job = JobScreen.of(open_window(finished), "lesson")
    job.duration()
    job.page.locator(".controls .speed").first.select_option("0.5")
    assert job.result.evaluate("video => video.playbackRate") == 0.5
    took: float = job.result.evaluate(
        """video => new Promise(done => {
          video.addEventListener("playing", () => {
            const [at, begun] = [video.currentTime, performance.now()];
            video.ontimeupdate = () => {
              if (video.currentTime - at >= 0.8) done((performance.now() - begun) / 1000 / (video.currentTime - at));
            };
          }, { once: true });
          document.querySelector(".controls .play").click();
        })"""
    )
    assert 1.7 < took < 2.6, "half the speed takes twice the time"
    assert abs(job.source.evaluate("video => video.playbackRate") - 0.5) < 0.05


def test_the_result_and_everything_as_a_zip_are_behind_plain_links(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished)
    JobScreen.of(window, "lesson")
    result = detail(window, "lesson")["status"]["items"][0]["output"]
    original = (finished.outputs / "lesson" / result).read_bytes()
    links = window.page.locator("#job-downloads a")
    expect(links).to_have_count(2)
    assert download(window.page, links.first).read_bytes() == original
    assert download(window.page, window.page.locator(".item-download a")).read_bytes() == original
    with zipfile.ZipFile(download(window.page, links.nth(1))) as bundle:
        assert bundle.testzip() is None
        assert bundle.read(result) == original


def download(page: Page, link: Locator) -> Path:
    """Follow a link that downloads; return the file."""
    with page.expect_download() as download:
        link.click()
    return download.value.path()
