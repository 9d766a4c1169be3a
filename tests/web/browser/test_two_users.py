"""Two people at two desks, and an administrator at a third, at the same time."""

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.screens import SLOWLY, NewJob, Queue
from tests.web.browser.web_site import WebSite
from tests.web.browser.window import Window

pytestmark = pytest.mark.web

PEOPLE: Final = ("ann", "ben")


def log_in(window: Window, name: str) -> None:
    window.go("/")
    window.page.get_by_label("Name").fill(name)
    window.page.get_by_label("Password").fill(f"password of {name}")
    window.page.keyboard.press("Enter")
    window.page.locator("#user-menu").wait_for()


@pytest.fixture
def shared_site(make_site: MakeSite) -> WebSite:
    """An installation with two users and an administrator."""
    site = make_site()
    for name in PEOPLE:
        site.add_user(name, f"password of {name}")
    site.add_user("chief", "password of chief", "--admin")
    site.start_page()
    return site


def test_two_people_make_jobs_at_once_and_each_sees_only_his_own(
    shared_site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path
) -> None:
    (shared_site.inbox / "PAUSE").touch()
    shared_site.start()
    windows = {name: open_window(shared_site) for name in (*PEOPLE, "chief")}
    for name, window in windows.items():
        log_in(window, name)
    queues = {"chief": Queue.of(windows["chief"])}
    forms = {name: NewJob.of(windows[name]) for name in PEOPLE}
    for form in forms.values():
        form.page.locator("#recording-input").set_input_files(speech)
    for form in forms.values():
        form.page.locator("#videos-input").set_input_files(portrait_clip)
    for name, form in forms.items():
        form.sign(f"of-{name}", by=name)
    for form in forms.values():
        form.page.locator("#start").click()
    for form in forms.values():
        form.page.wait_for_url("**/jobs/**", timeout=SLOWLY)
    addresses = {name: windows[name].page.url for name in PEOPLE}
    assert len(set(addresses.values())) == len(PEOPLE)

    queues |= {name: Queue.of(windows[name]) for name in PEOPLE}
    for name in PEOPLE:
        queues[name].expect_state(f"of-{name}", "queued", "waiting")
        queues["chief"].expect_state(f"of-{name}", "queued", "waiting")
        expect(queues["chief"].row(f"of-{name}")).to_contain_text(name)
    (shared_site.inbox / "PAUSE").unlink()
    for name, other in (PEOPLE, PEOPLE[::-1]):
        queues[name].expect_state(f"of-{name}", "succeeded")
        queues["chief"].expect_state(f"of-{name}", "succeeded")
        expect(queues[name].page.locator(".job-row")).to_have_count(1)
        expect(queues[name].row(f"of-{other}")).to_have_count(0)
        assert shared_site.status(f"of-{name}")["owner"] == name
    expect(queues["chief"].page.locator(".job-row")).to_have_count(2)

    for name, other in (PEOPLE, PEOPLE[::-1]):
        stranger = windows[name]
        stranger.expect_faults("status of 404.*/api/v1/jobs/")
        for address in (addresses[other], f"{shared_site.address}/jobs/of-{other}"):
            stranger.page.goto(address)
            expect(stranger.page.locator("#missing")).to_be_visible(timeout=30_000)
            expect(stranger.page.locator("#job-body")).to_be_hidden()
        stranger.page.goto(addresses[name])
        expect(stranger.page.locator("#job-name")).to_have_text(f"of-{name}")
        windows["chief"].page.goto(addresses[other])
        expect(windows["chief"].page.locator("#job-name")).to_have_text(f"of-{other}")
