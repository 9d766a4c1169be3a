"""The screens as a person uses them: by what they show and what their controls are called."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

from tests.web.browser.window import Window

SLOWLY = 120_000
"""Milliseconds that a job may take where the machine is busy."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The rows of /queue, open and finished."""

    page: Page

    @classmethod
    def of(cls, window: Window) -> "Queue":
        window.go("/queue")
        return cls(page=window.page)

    def row(self, name: str) -> Locator:
        return self.page.locator(".job-row").filter(has=self.page.get_by_role("link", name=name, exact=True))

    def expect_state(self, name: str, *states: str, timeout: float = SLOWLY) -> None:
        """Wait until the badge of a job says one of these words."""
        any_of = self.row(name).locator(", ".join(f".badge.state-{state}" for state in states))
        expect(any_of).to_be_visible(timeout=timeout)

    def press(self, name: str, action: str) -> None:
        self.row(name).locator(f"button[data-action={action}]").click()

    def cancel(self, name: str) -> None:
        self.press(name, "cancel")
        self.page.get_by_role("dialog").locator("button[value=yes]").click()

    def set_priority(self, name: str, number: int) -> None:
        self.press(name, "priority")
        self.page.get_by_role("dialog").get_by_role("spinbutton").fill(str(number))
        self.page.keyboard.press("Enter")


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """The form of /."""

    page: Page

    @classmethod
    def of(cls, window: Window) -> "NewJob":
        window.go("/")
        window.page.locator("#recording-input[accept]").wait_for(state="attached")
        return cls(page=window.page)

    def single(self) -> None:
        self.page.locator("#tab-single").click()

    def choose(self, recording: Path, *videos: Path) -> None:
        """Choose the files, as the file dialog of the browser does; their upload begins."""
        self.page.locator("#recording-input").set_input_files(recording)
        self.page.locator("#videos-input").set_input_files(list(videos))

    def sign(self, name: str, by: str = "Tester") -> None:
        """Name the job, and confirm that the people in it agree."""
        self.page.locator("#name").fill(name)
        self.page.locator("#consent").check()
        if self.page.locator("#consent-name").is_visible():
            self.page.locator("#consent-name").fill(by)

    def start(self) -> None:
        self.page.locator("#start").click()
        self.page.wait_for_url(re.compile(r"/(jobs/|queue)"), timeout=SLOWLY)


@dataclass(frozen=True, kw_only=True)
class JobScreen:
    """/jobs/ID: the player and what is beside it."""

    page: Page

    @classmethod
    def of(cls, window: Window, job: str) -> "JobScreen":
        window.go(f"/jobs/{quote(job, safe='')}")
        return cls(page=window.page)

    @property
    def result(self) -> Locator:
        return self.page.locator(".stage-result video").first

    @property
    def source(self) -> Locator:
        return self.page.locator(".stage-source video").first

    def expect_state(self, *states: str, timeout: float = SLOWLY) -> None:
        any_of = self.page.locator("#job-state").locator(", ".join(f".badge.state-{state}" for state in states))
        expect(any_of).to_be_visible(timeout=timeout)

    def duration(self) -> float:
        """Return the seconds of the result, as the browser knows them from its header."""
        expect(self.result).to_have_js_property("error", None)
        seconds: float = self.result.evaluate(
            "video => video.readyState > 0 ? video.duration : new Promise(done => video.onloadedmetadata = () => done(video.duration))"
        )
        return seconds

    def play(self, seconds: float) -> tuple[float, int]:
        """Press play, wait until the result has come so far, and return its current time and the number of frames that were shown."""
        self.page.locator(".controls .play").first.click()
        self.result.evaluate(
            "(video, seconds) => new Promise(done => { video.ontimeupdate = () => { if (video.currentTime >= seconds) done(); }; })",
            seconds,
        )
        shown: list[float] = self.result.evaluate("video => [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames]")
        return shown[0], int(shown[1])

    def seek(self, part: float) -> float:
        """Seek to a part of the result; return the milliseconds until the frame there could be shown."""
        milliseconds: float = self.result.evaluate(
            """(video, part) => new Promise(done => {
              const begun = performance.now();
              video.addEventListener("seeked", () => done(performance.now() - begun), { once: true });
              video.currentTime = part * video.duration;
            })""",
            part,
        )
        assert self.result.evaluate("video => video.readyState") >= 2, "the frame is there"
        return milliseconds
