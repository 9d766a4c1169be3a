"""What opens above a screen: nothing serious for axe-core in it either, and it fits a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Locator, expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.material import side_by_side
from tests.web.browser.screens import SLOWLY, JobScreen, NewJob, Queue
from tests.web.browser.web_site import WebSite
from tests.web.browser.window import Window

pytestmark = pytest.mark.web

LOOKS: Final = [
    pytest.param("en-US", False, False, id="en-light-desk"),
    pytest.param("zh-CN", True, True, id="zh-dark-phone"),
]


@pytest.fixture(scope="module")
def waiting_site(
    weights: Path, presenters: Path, speech: Path, portrait_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebSite]:
    """An installation with a user, in which the job `waiting` waits."""
    with WebSite(folder=tmp_path_factory.mktemp("waiting") / "site", weights=weights, cache=presenters) as made:
        (made.inbox / "PAUSE").touch()
        made.add_user("chief", "password of chief", "--admin")
        made.start_page()
        made.start()
        made.drop("waiting", speech, [portrait_clip])
        made.wait_for_state("waiting", "queued", "waiting")
        yield made


def opened(window: Window, element: Locator) -> None:
    """Check what has been opened, with everything that is behind it."""
    expect(element).to_be_visible()
    assert window.barriers() == []
    assert window.excess_width() <= 0
    box = element.bounding_box()
    viewport = window.page.viewport_size
    assert box is not None
    assert viewport is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= viewport["width"]


@pytest.mark.parametrize(("language", "phone", "dark"), LOOKS)
def test_the_questions_of_the_queue_and_the_menu_of_the_user_have_no_serious_barrier(
    waiting_site: WebSite, open_window: OpenWindow, language: str, *, phone: bool, dark: bool
) -> None:
    window = open_window(waiting_site, language=language, phone=phone, dark=dark)
    answer = window.context.request.post(
        "/api/v1/session", data={"name": "chief", "password": "password of chief"}, headers={"Origin": waiting_site.address}
    )
    assert answer.ok
    queue = Queue.of(window)
    dialog = window.page.locator("dialog[open]")
    for action in ("cancel", "priority"):
        queue.press("waiting", action)
        opened(window, dialog)
        window.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(queue.row("waiting").locator(f"button[data-action={action}]")).to_be_focused()
    menu = window.page.locator("#user-menu")
    menu.locator("summary").click()
    opened(window, menu.locator(".menu-panel"))
    window.page.keyboard.press("Escape")
    expect(menu.locator(".menu-panel")).to_be_hidden()
    job = waiting_site.job("waiting")
    assert job is not None
    assert not job.is_final, "a question that is closed does nothing"


@pytest.mark.parametrize(("language", "phone", "dark"), LOOKS)
def test_the_enlarged_image_and_the_open_log_have_no_serious_barrier(
    finished: WebSite, open_window: OpenWindow, language: str, *, phone: bool, dark: bool
) -> None:
    window = open_window(finished, language=language, phone=phone, dark=dark)
    JobScreen.of(window, "lesson")
    window.page.locator("#job-log summary").click()
    expect(window.page.locator("#job-log li").first).to_be_visible()
    opened(window, window.page.locator("#job-log .log-lines"))
    for button in window.page.locator(".item-images .image-button").all():
        button.click()
        opened(window, window.page.locator("dialog.image-dialog[open]"))
        window.page.keyboard.press("Escape")


@pytest.mark.parametrize(("language", "phone", "dark"), LOOKS)
def test_the_choice_of_who_speaks_has_no_serious_barrier(
    finished: WebSite, open_window: OpenWindow, portrait_clip: Path, tmp_path: Path, language: str, *, phone: bool, dark: bool
) -> None:
    window = open_window(finished, language=language, phone=phone, dark=dark)
    form = NewJob.of(window)
    form.page.locator("#videos-input").set_input_files(side_by_side(portrait_clip, tmp_path / "pair.mp4"))
    form.page.locator(".video .verdict button").click(timeout=SLOWLY)
    opened(window, window.page.locator("dialog.faces-dialog[open]"))
