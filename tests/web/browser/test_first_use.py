"""The short form of what `make test-web` does: one job from its upload to a playing result, and what must be refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.material import MARKUP
from tests.web.browser.screens import JobScreen, NewJob, Queue
from tests.web.browser.web_site import WebSite

NAME: Final = "Monday lesson"
HOSTILE: Final = "<img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def new_site(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """A running installation in which nothing has been made yet."""
    folder = tmp_path_factory.mktemp("first")
    with WebSite(folder=folder / "site", weights=weights, cache=folder / "cache") as made:
        made.start_page()
        made.start()
        yield made


def test_a_recording_and_a_video_become_a_result_that_plays_past_a_reload(
    new_site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, tmp_path: Path
) -> None:
    video = tmp_path / MARKUP
    video.write_bytes(portrait_clip.read_bytes())
    window = open_window(new_site)
    form = NewJob.of(window)
    form.choose(speech, video)
    expect(form.page.locator("#videos li")).to_contain_text(MARKUP)
    form.sign(NAME)
    form.start()
    queue = Queue.of(window)
    queue.expect_state(NAME, "running")
    window.page.reload()
    queue.expect_state(NAME, "running", "succeeded")
    queue.expect_state(NAME, "succeeded")

    queue.row(NAME).get_by_role("link", name=NAME).click()
    job = JobScreen(page=window.page)
    expect(window.page.locator("#job-name")).to_have_text(NAME)
    assert 1.5 < job.duration() < 4
    reached, frames = job.play(1.0)
    assert reached >= 1.0
    assert frames >= 15
    assert window.barriers() == []


def test_a_drop_is_shown_by_its_name_and_never_as_markup(new_site: WebSite, open_window: OpenWindow) -> None:
    (new_site.inbox / HOSTILE / "videos").mkdir(parents=True)
    (new_site.inbox / HOSTILE / "videos" / MARKUP).write_bytes(b"no video")
    window = open_window(new_site)
    queue = Queue.of(window)
    queue.expect_state(HOSTILE, "rejected")
    queue.row(HOSTILE).get_by_role("link", name=HOSTILE).click()
    expect(window.page.locator("#job-name")).to_have_text(HOSTILE)
    expect(window.page.locator("#job-problems")).to_contain_text("recording")
    assert window.page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize(
    ("headers", "status"), [({"Origin": "https://elsewhere.example"}, 403), ({"Host": "elsewhere.example"}, 421), ({}, 201)]
)
def test_only_pages_of_the_server_itself_may_change_something(new_site: WebSite, headers: dict[str, str], status: int) -> None:
    with new_site.client(headers) as client:
        assert client.post("/drafts", json={}).status_code == status
