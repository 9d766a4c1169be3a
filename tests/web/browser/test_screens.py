"""Every screen in both languages and both themes: nothing serious for axe-core, no sideways scrolling on a phone, all by keyboard."""

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from heygem_daemon.core.names import escape_name
from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.material import HARD_NAMES, MARKUP
from tests.web.browser.screens import SLOWLY, JobScreen, NewJob, Queue
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web

READY: Final = {
    "/": "#recording-input[accept]",
    "/queue": "#finished-jobs .job-row",
    "/jobs/lesson": ".stage-result video",
    "/jobs/mixed": "#job-items .item",
    "/history": "#gallery a",
    "/system": "#system-body:not([hidden])",
    "/api": "main h2",
}
"""Screen -> what shows that it is complete."""

TEXT_KEY: Final = re.compile(
    r"^(nav|daemon|theme|live|action|state|new|queue|jobs?|player|history|system|problem|time)\.(?!toml$)[a-z_.]+$"
)

LANGUAGES: Final = {"en": "en-US", "zh": "zh-CN"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", READY)
def test_a_screen_has_no_serious_barrier_and_fits_a_desk_and_a_phone(
    finished: WebSite, open_window: OpenWindow, path: str, language: str, *, dark: bool
) -> None:
    for phone in (False, True):
        window = open_window(finished, language=LANGUAGES[language], phone=phone, dark=dark)
        window.go(path)
        window.page.locator(READY[path]).first.wait_for(state="attached")
        window.page.wait_for_load_state("load")
        assert window.barriers() == []
        assert window.excess_width() <= 0
        html = window.page.locator("html")
        assert (html.get_attribute("lang") or "").startswith(language)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_login_has_no_serious_barrier_and_fits_a_phone(
    make_site: MakeSite, open_window: OpenWindow, language: str, *, dark: bool
) -> None:
    site = make_site()
    site.add_user("ann", "password of ann")
    site.start_page()
    window = open_window(site, language=LANGUAGES[language], phone=True, dark=dark)
    window.go("/history")
    window.page.locator("input[type=password]").wait_for()
    assert window.barriers() == []
    assert window.excess_width() <= 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_filled_form_has_no_serious_barrier_and_fits_a_phone(
    finished: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, faceless: Path, language: str
) -> None:
    for phone in (False, True):
        window = open_window(finished, language=LANGUAGES[language], phone=phone)
        form = NewJob.of(window)
        form.choose(speech, portrait_clip, faceless)
        form.page.locator("#more > summary").click()
        expect(form.page.locator("#videos li")).to_have_count(2)
        window.page.locator("#videos canvas, #videos img").first.wait_for(timeout=SLOWLY)
        assert window.barriers() == []
        assert window.excess_width() <= 0
        window.expect_faults("status of 422")


def test_the_language_switches_and_stays(finished: WebSite, open_window: OpenWindow) -> None:
    window = open_window(finished, language="zh-CN")
    window.go("/queue")
    expect(window.page.locator("html")).to_have_attribute("lang", "zh-CN")
    window.page.locator("#language-switch").click()
    expect(window.page.locator("html")).to_have_attribute("lang", "en")
    window.go("/history")
    expect(window.page.locator("h1")).to_have_text("History")


def test_no_text_is_missing_in_either_language(finished: WebSite, open_window: OpenWindow) -> None:
    for language in LANGUAGES.values():
        window = open_window(finished, language=language)
        for path, ready in READY.items():
            window.go(path)
            window.page.locator(ready).first.wait_for(state="attached")
            text = window.page.locator("body").inner_text()
            assert [word for word in text.split() if TEXT_KEY.match(word)] == [], path
            assert "{" not in window.page.locator("main").inner_text() or path == "/api", path


def test_a_job_is_made_and_watched_with_the_keyboard_alone(
    make_site: MakeSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site = make_site()
    site.start_page()
    site.start()
    window = open_window(site)
    page = window.page
    form = NewJob.of(window)
    form.choose(speech, portrait_clip)

    def tab_to(selector: str, most: int = 80) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement?.matches(selector) ?? false", selector):
                return
        raise AssertionError(f"{selector} is not reached by the tabulator")

    page.locator("h1").click()
    for chooser in ("#recording-input", "#videos-input"):
        if page.locator(chooser).is_visible():
            tab_to(chooser)
    tab_to("#name")
    page.keyboard.type("by keyboard")
    tab_to("#consent")
    page.keyboard.press("Space")
    if page.locator("#consent-name").is_visible():
        tab_to("#consent-name")
        page.keyboard.type("Tester")
    tab_to("#start")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "the focus is seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/**", timeout=SLOWLY)
    job = JobScreen(page=page)
    job.expect_state("succeeded")
    tab_to(".controls .play")
    page.keyboard.press("Space")
    job.result.evaluate("video => new Promise(done => { video.ontimeupdate = () => { if (video.currentTime > 0.5) done(); }; })")
    page.keyboard.press(",")
    assert job.result.evaluate("video => video.paused"), "a step holds it still"


def test_names_are_shown_as_they_are_and_never_as_markup(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, tmp_path: Path
) -> None:
    videos = []
    for name in HARD_NAMES:
        videos.append(tmp_path / name)
        videos[-1].write_bytes(portrait_clip.read_bytes())
    (site.inbox / "PAUSE").touch()
    site.start()
    window = open_window(site)
    form = NewJob.of(window)
    form.choose(speech, *videos)
    expect(form.page.locator("#videos li")).to_have_count(len(videos))
    for name in HARD_NAMES:
        assert name in (form.page.locator("#videos").text_content() or ""), name
    form.sign(MARKUP)
    form.start()
    site.wait_for(site.ledger, "the drop was not taken")
    (job,) = site.ledger()
    assert len(job.items) == len(HARD_NAMES)
    assert {Path(item.video).suffix for item in job.items} == {".mp4"}
    site.drop(MARKUP, speech, videos[:3])
    site.wait_for(lambda: len(site.ledger()) == 2, "the other drop was not taken")
    for path in (f"/jobs/{job.id}", "/queue", "/history"):
        window.go(path)
        window.page.wait_for_timeout(500)
        assert window.page.locator("img[src='x']").count() == 0
    queue = Queue.of(window)
    queue.row(MARKUP).get_by_role("link").click()
    expect(window.page.locator("#job-name")).to_have_text(MARKUP)
    expect(window.page.locator(".item")).to_have_count(3)
    shown = window.page.locator("#job-items").text_content() or ""
    for name in HARD_NAMES[:3]:
        assert escape_name(name) in shown
    assert window.excess_width() <= 0
