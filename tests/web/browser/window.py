"""A browser's window that records what goes wrong in it: errors of scripts, failed requests, and any request that leaves the host."""

import json
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Error, Page, Request, ViewportSize

DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
LOCAL_SCHEMES: Final = ("blob", "data", "about")
STOPPED: Final = "net::ERR_ABORTED"
"""What the browser itself stops, such as the events of a page that is left, or a video that is sought in."""
SERIOUS: Final = ("serious", "critical")
_AXE: Final = Axe()


@dataclass(kw_only=True)
class Window:
    """One user's browser: cookies and storage of its own. `page` is its first tab."""

    context: BrowserContext
    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _expected: list[re.Pattern[str]] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        browser: Browser,
        address: str,
        *,
        language: str = "en-US",
        phone: bool = False,
        dark: bool = False,
    ) -> "Window":
        context = browser.new_context(
            base_url=address,
            locale=language,
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        window = cls(context=context, page=context.new_page(), address=address)
        context.on("request", window._on_request)
        context.on("requestfailed", window._on_failure)
        context.on("console", window._on_console)
        context.on("dialog", window._on_dialog)
        context.on("weberror", lambda error: window.faults.append(f"script error: {error.error}"))
        return window

    def go(self, path: str = "/") -> None:
        self.page.goto(path, wait_until="load")

    def expect_faults(self, *patterns: str) -> None:
        """Let faults that match one of the regular expressions pass, in a test that provokes them."""
        self._expected += [re.compile(pattern) for pattern in patterns]

    def unexpected(self) -> list[str]:
        """Return the faults that no test has provoked."""
        return [fault for fault in self.faults if not any(pattern.search(fault) for pattern in self._expected)]

    def close(self) -> None:
        self.context.close()

    # -- looking ------------------------------------------------------------------------------------------------------

    def barriers(self) -> list[str]:
        """Return what axe-core finds serious or critical, with the elements."""
        found = _AXE.run(self.page).response["violations"]
        return [
            f"{violation['id']} ({violation['impact']}): {node['target']} {node['failureSummary']}"
            for violation in found
            if violation["impact"] in SERIOUS
            for node in violation["nodes"]
        ]

    def excess_width(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width

    def note_when(self, selector: str) -> None:
        """Let every page that is loaded from now on note when an element of this CSS selector is there; see `noted`."""
        script = """
            const look = () => {
              const element = document.querySelector(SELECTOR);
              if (window.notedAt === undefined && element && element.checkVisibility()) window.notedAt = performance.now();
            };
            new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true });
            addEventListener("DOMContentLoaded", look);
        """
        self.context.add_init_script(script.replace("SELECTOR", json.dumps(selector)))

    def noted(self) -> float:
        """Return the milliseconds from the start of the navigation to the element of `note_when`."""
        milliseconds: float = self.page.evaluate(
            """() => new Promise(done => {
              const look = () => window.notedAt === undefined ? setTimeout(look, 20) : done(window.notedAt);
              look();
            })"""
        )
        return milliseconds

    # -- recording ----------------------------------------------------------------------------------------------------

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL_SCHEMES and f"{parts.scheme}://{parts.netloc}" != self.address:
            self.faults.append(f"leaves the host: {request.url}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != STOPPED:
            self.faults.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _on_dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.faults.append(f"a script opened a dialog: {dialog.message}")
        dialog.accept()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} ({message.location['url']})")


def seconds_shown(page: Page, selector: str) -> float:
    """Return the current time of a media element; 0 where there is none."""
    try:
        seconds: float = page.eval_on_selector(selector, "element => element.currentTime")
    except Error:
        return 0.0
    return seconds
