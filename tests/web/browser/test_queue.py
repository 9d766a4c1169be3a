"""What people do on the queue reaches the ledger of the daemon, and what others do on the share reaches the queue."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from heygem_daemon.core.job import State
from tests.web.browser.conftest import OpenWindow
from tests.web.browser.screens import Queue
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web


def test_hold_priority_cancel_and_retry_reach_the_ledger(site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path) -> None:
    (site.inbox / "PAUSE").touch()
    site.start()
    for name in ("first", "second", "third"):
        site.drop(name, speech, [portrait_clip])
    queue = Queue.of(open_window(site))
    for name in ("first", "second", "third"):
        queue.expect_state(name, "queued", "waiting")

    queue.set_priority("second", 42)
    site.wait_for_job("second", lambda job: job.priority == 42, "the priority")
    expect(queue.row("second")).to_contain_text("+42")
    expect(queue.page.locator("#open-jobs .job-row").first).to_contain_text("second")

    queue.press("first", "hold")
    site.wait_for_job("first", lambda job: job.on_hold, "the hold")
    queue.press("first", "resume")
    site.wait_for_job("first", lambda job: not job.on_hold, "the release")

    queue.cancel("third")
    site.wait_for_job("third", lambda job: job.state is State.CANCELLED, "the cancel")
    queue.expect_state("third", "cancelled")
    queue.press("third", "retry")
    site.wait_for_job("third", lambda job: not job.is_final, "the retry")
    queue.expect_state("third", "queued", "waiting")
    assert not [path for path in site.inbox.iterdir() if path.suffix in {".cancel", ".retry", ".priority", ".resume", ".hold"}]


def test_all_failed_jobs_are_retried_at_once_and_the_queue_pauses_and_goes_on(
    site: WebSite, open_window: OpenWindow, speech: Path, faceless: Path
) -> None:
    site.drop("wrong", speech, [faceless])
    site.drop("wrong-too", speech, [faceless])
    site.start()
    queue = Queue.of(open_window(site))
    for name in ("wrong", "wrong-too"):
        queue.expect_state(name, "failed")
    queue.page.locator("#pause-all").click()
    expect(queue.page.locator("#resume-all")).to_be_visible(timeout=30_000)
    assert (site.inbox / "PAUSE").exists()
    queue.page.locator("#retry-failed").click()
    for name in ("wrong", "wrong-too"):
        site.wait_for_job(name, lambda job: not job.is_final, "the retry")
        queue.expect_state(name, "queued", "waiting")
    queue.page.locator("#resume-all").click()
    for name in ("wrong", "wrong-too"):
        queue.expect_state(name, "failed")
    assert not (site.inbox / "PAUSE").exists()


def test_a_drop_that_came_by_the_share_and_what_is_done_to_it_there_are_shown(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    site.start()
    window = open_window(site)
    queue = Queue.of(window)
    (site.inbox / "by-share.hold").touch()
    site.drop("by-share", speech, [portrait_clip])
    queue.expect_state("by-share", "settling", "waiting")
    (site.inbox / "by-share.hold").unlink()
    queue.expect_state("by-share", "succeeded")
    assert window.page.url.endswith("/queue")
