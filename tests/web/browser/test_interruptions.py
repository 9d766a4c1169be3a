"""The daemon, the page or the browser ends in the middle of something: what the screen says stays true, and nothing is lost."""

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.screens import SLOWLY, Queue
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web


def test_a_reload_in_the_middle_of_a_job_changes_nothing(site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path) -> None:
    site.drop("lesson", speech, [portrait_clip])
    site.start()
    window, second = open_window(site), open_window(site)
    queue = Queue.of(window)
    queue.expect_state("lesson", "running")
    window.page.reload()
    other = Queue.of(second)
    for each in (queue, other):
        each.expect_state("lesson", "running", "succeeded")
    for each in (queue, other):
        each.expect_state("lesson", "succeeded")


def test_the_page_is_killed_in_the_middle_of_a_job_and_the_browser_finds_it_again(
    make_site: MakeSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site = make_site()
    page = site.start_page()
    site.drop("lesson", speech, [portrait_clip])
    site.start()
    window = open_window(site)
    window.expect_faults("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    queue = Queue.of(window)
    queue.expect_state("lesson", "running")
    site.kill(page)
    expect(window.page.locator("#connection-note")).to_be_visible(timeout=20_000)
    site.wait_for_state("lesson", "succeeded", timeout=300)
    site.start_page()
    expect(window.page.locator("#connection-note")).to_be_hidden(timeout=60_000)
    queue.expect_state("lesson", "succeeded")


def test_the_daemon_is_killed_in_the_middle_of_a_job_and_the_screen_says_so_until_it_is_back(
    make_site: MakeSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site = make_site()
    site.start_page()
    site.drop("lesson", speech, [portrait_clip])
    daemon = site.start()
    window = open_window(site)
    queue = Queue.of(window)
    queue.expect_state("lesson", "running")
    site.kill(daemon)
    expect(window.page.locator("#daemon-state")).to_have_attribute("data-state", "silent", timeout=150_000)
    expect(window.page.locator("#daemon-note")).to_be_visible()
    assert site.status("lesson")["state"] == "running", "the job's own last word"
    queue.expect_state("lesson", "running", "interrupted", "waiting")
    site.start()
    queue.expect_state("lesson", "succeeded")
    expect(window.page.locator("#daemon-state")).to_have_attribute("data-state", "running", timeout=SLOWLY)
    expect(window.page.locator("#daemon-note")).to_be_hidden()


def test_a_stopped_page_is_no_matter_of_the_daemon(make_site: MakeSite, speech: Path, portrait_clip: Path) -> None:
    site = make_site()
    page = site.start_page()
    site.drop("lesson", speech, [portrait_clip])
    site.start()
    site.wait_for(lambda: site.events("item_started"), "no item started")
    os.kill(page.pid, signal.SIGTERM)
    assert page.wait(30) in {0, -signal.SIGTERM}
    assert site.wait_for_state("lesson", "succeeded", timeout=300)["items"][0]["attempt"] == 1
