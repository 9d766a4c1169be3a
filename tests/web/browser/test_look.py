"""What System and History show, and the theme."""

from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.web_site import WebSite
from tests.web.browser.window import Window

pytestmark = pytest.mark.web

DAYS: Final = 30


def asked(window: Window, path: str) -> Any:
    """Return an answer of the interface, as the same browser gets it."""
    answer = window.context.request.get(f"/api/v1/{path}")
    assert answer.ok, path
    return answer.json()


def system(site: WebSite, open_window: OpenWindow) -> Window:
    window = open_window(site)
    window.go("/system")
    window.page.locator("#system-body").wait_for()
    return window


# -- System ------------------------------------------------------------------------------------------------------------


def test_every_plot_has_a_description_and_a_table_of_the_same_numbers(finished: WebSite, open_window: OpenWindow) -> None:
    window = system(finished, open_window)
    days = asked(window, "system")["days"]
    plots = window.page.locator("#plots figure")
    expect(plots).to_have_count(3)
    for plot in plots.all():
        assert plot.locator("svg.plot rect.plot-bar").count() >= 1
        assert plot.locator("svg.plot > title").text_content()
        assert plot.locator("svg.plot > desc").text_content()
        table = plot.locator("table")
        expect(table).to_be_hidden()
        plot.locator("summary").click()
        expect(table).to_be_visible()
        expect(table.locator("tbody tr")).to_have_count(DAYS)
    cells = plots.first.locator("tbody td").all_text_contents()
    assert sum(int(cell) for cell in cells[0::2]) == sum(day["succeeded"] for day in days)
    assert sum(int(cell) for cell in cells[1::2]) == sum(day["failed"] for day in days)
    assert sum(day["failed"] for day in days) >= 1


def test_what_failed_is_counted_by_its_code(finished: WebSite, open_window: OpenWindow) -> None:
    window = system(finished, open_window)
    failures = asked(window, "system")["failures"]
    assert failures
    shown = window.page.locator("#failures li")
    expect(shown).to_have_count(len(failures))
    for index, failure in enumerate(failures):
        expect(shown.nth(index).locator("code")).to_have_text(failure["code"])
        expect(shown.nth(index)).to_contain_text(failure["message"])
        expect(shown.nth(index).locator("strong")).to_have_text(str(failure["count"]))


def test_what_the_check_finds_is_there_with_a_command_to_copy(site: WebSite, open_window: OpenWindow) -> None:
    site.outputs.chmod(0o777)
    window = system(site, open_window)
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.page.locator("#findings li").first.wait_for(timeout=60_000)
    findings = [each for each in asked(window, "system/check")["findings"] if each["severity"] != "ok"]
    shown = window.page.locator("#findings > .finding")
    expect(shown).to_have_count(len(findings))
    with_fix = [each for each in findings if each["fix"]]
    assert f"chmod o-w {site.outputs}" in {each["fix"] for each in with_fix}
    for each in with_fix:
        finding = shown.filter(has_text=each["what"])
        expect(finding.locator(".fix code")).to_have_text(each["fix"])
        finding.get_by_role("button", name="Copy the command").click()
        expect(window.page.locator("#toasts")).to_contain_text("Copied")
        assert window.page.evaluate("navigator.clipboard.readText()") == each["fix"]
    window.page.locator("#findings details summary").click()
    expect(window.page.locator("#findings details .finding").first).to_be_visible()
    window.page.locator("#check-again").click()
    expect(window.page.locator("#check-again")).to_be_enabled(timeout=60_000)
    expect(shown).to_have_count(len(findings))


def test_devices_versions_and_inboxes_are_shown_and_an_inbox_can_be_paused(finished: WebSite, open_window: OpenWindow) -> None:
    window = system(finished, open_window)
    about = asked(window, "system")
    devices = window.page.locator("#devices .device")
    expect(devices).to_have_count(len(about["devices"]))
    expect(devices.first).to_contain_text("cpu")
    expect(window.page.locator("#versions")).to_contain_text(about["page_version"])
    expect(window.page.locator("#daemon-badge")).to_have_text("Running")
    inbox = window.page.locator("#inboxes li")
    expect(inbox.locator("code")).to_have_text(str(finished.inbox))
    try:
        inbox.get_by_role("button").click()
        expect(inbox.locator(".badge.warn")).to_be_visible(timeout=20_000)
        assert (finished.inbox / "PAUSE").exists()
        inbox.get_by_role("button").click()
        expect(inbox.locator(".badge.good")).to_be_visible(timeout=20_000)
        assert not (finished.inbox / "PAUSE").exists()
    finally:
        (finished.inbox / "PAUSE").unlink(missing_ok=True)


# -- History -----------------------------------------------------------------------------------------------------------


def expect_jobs(page: Page, *names: str) -> None:
    expect(page.locator("#gallery h2")).to_have_text(list(names))


def test_the_search_changes_the_list_and_the_address_and_survives_a_reload(finished: WebSite, open_window: OpenWindow) -> None:
    page = open_window(finished).page
    page.goto("/history")
    expect_jobs(page, "mixed", "lesson")
    expect(page.locator("#summary")).to_have_text("2 jobs")
    page.locator("#q").fill("lesson")
    expect_jobs(page, "lesson")
    expect(page).to_have_url(f"{finished.address}/history?q=lesson")
    page.reload()
    expect_jobs(page, "lesson")
    expect(page.locator("#q")).to_have_value("lesson")
    page.locator("#q").fill("faceless")
    expect_jobs(page, "mixed")
    page.locator("#q").fill("nothing of this name")
    expect(page.locator("#nothing")).to_be_visible()
    page.locator("#clear-nothing").click()
    expect_jobs(page, "mixed", "lesson")
    expect(page).to_have_url(f"{finished.address}/history")


def test_filters_change_the_list_and_the_address_and_the_way_back_leads_through_them(finished: WebSite, open_window: OpenWindow) -> None:
    page = open_window(finished).page
    page.goto("/history")
    expect_jobs(page, "mixed", "lesson")
    page.locator("#state").select_option("succeeded")
    expect_jobs(page, "lesson")
    expect(page).to_have_url(f"{finished.address}/history?state=succeeded")
    page.locator("#state").select_option("partial")
    expect_jobs(page, "mixed")
    page.go_back()
    expect_jobs(page, "lesson")
    expect(page.locator("#state")).to_have_value("succeeded")
    page.locator("#state").select_option("")
    page.locator("#since").fill("2099-01-01")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page).to_have_url(f"{finished.address}/history?since=2099-01-01")
    page.locator("#clear").click()
    expect_jobs(page, "mixed", "lesson")
    engine = page.locator("#engine option").nth(1).get_attribute("value") or ""
    page.locator("#engine").select_option(engine)
    expect(page).to_have_url(f"{finished.address}/history?engine={engine}")


# -- the frame ---------------------------------------------------------------------------------------------------------


def test_the_theme_goes_from_the_systems_to_light_and_dark_and_stays(finished: WebSite, open_window: OpenWindow) -> None:
    page = open_window(finished, dark=True).page
    page.goto("/queue")
    html, switch = page.locator("html"), page.locator("#theme-switch")
    background = "getComputedStyle(document.body).backgroundColor"
    expect(html).to_have_attribute("data-theme", "dark")
    dark = page.evaluate(background)
    switch.click()
    expect(html).to_have_attribute("data-theme", "light")
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    expect(html).to_have_attribute("data-theme", "light")
    assert page.evaluate(background) == light
    page.emulate_media(color_scheme="light")
    switch.click()
    expect(html).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == dark
    switch.click()
    expect(html).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-theme", "dark")
