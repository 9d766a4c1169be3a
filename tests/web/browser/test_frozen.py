"""A share that does not answer costs its own requests a bounded time, and the rest of the page nothing."""

import time
from collections.abc import Callable

import pytest

from tests.web.browser.conftest import MakeSite, OpenWindow
from tests.web.browser.frozen import frozen
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web


@pytest.fixture
def quick(make_site: MakeSite) -> WebSite:
    made = make_site()
    text = (made.folder / "heygem.toml").read_text(encoding="utf-8")
    (made.folder / "heygem.toml").write_text(text.replace("[intake]\n", "[intake]\nanswer_seconds = 2\n"), encoding="utf-8")
    made.start_page()
    return made


@pytest.mark.parametrize("share", ["inbox", "outputs"])
def test_a_frozen_share_does_not_hang_the_page(
    quick: WebSite, open_window: OpenWindow, measured: Callable[[str], None], share: str
) -> None:
    window = open_window(quick)
    window.expect_faults("status of 503", "status of 504")
    with frozen(quick.folder / share), quick.client() as client:
        slowest = 0.0
        for path in ("/health", "/jobs", "/options", "/system", "/me", "/jobs/nothing", "/health"):
            begun = time.monotonic()
            answer = client.get(path)
            slowest = max(slowest, time.monotonic() - begun)
            assert answer.status_code in {200, 404, 503}, f"{path}: {answer.status_code}"
        assert slowest < 5
        begun = time.monotonic()
        answer = client.post("/drafts", json={})
        assert answer.status_code == (503 if share == "inbox" else 201), answer.text
        assert time.monotonic() - begun < 5
        for path in ("/", "/queue", "/history", "/system"):
            begun = time.monotonic()
            window.go(path)
            assert time.monotonic() - begun < 5
            assert window.page.locator("h1").is_visible()
        measured(f"frozen {share}: slowest answer {slowest:.1f} s (limit of a share 2 s)")
    with quick.client() as client:
        quick.wait_for(lambda: client.post("/drafts", json={}).status_code == 201, f"{share} did not come back", timeout=30)
