"""One browser for all tests of this folder; a small installation with a page for each, and one that many only look at."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.disk_cache import cached
from tests.e2e.site import Site
from tests.web.browser.web_site import WebSite
from tests.web.browser.window import Window

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
MEASUREMENTS = pytest.StashKey[list[str]]()


class OpenWindow(Protocol):
    """Open a window on the page of a site; what goes wrong in it fails the test at its end."""

    def __call__(self, site: WebSite, *, language: str = "en-US", phone: bool = False, dark: bool = False) -> Window: ...


class MakeSite(Protocol):
    """Make an installation with further settings: `web` are lines of [web], `settings` lines before all sections, or sections."""

    def __call__(self, *, web: str = "", settings: str = "") -> WebSite: ...


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASUREMENTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measurements = config.stash[MEASUREMENTS]
    if measurements:
        terminalreporter.section("measured in the browser")
        terminalreporter.write_line("\n".join(measurements))


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Record a sentence with a measurement, to be printed at the end of the run."""
    measurements: list[str] = request.config.stash[MEASUREMENTS]
    return measurements.append


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a screen. No sandbox: it has to run for root too, and opens nothing but the page.

    One for each file: while Playwright is open its event loop runs in this thread, and the tests of other folders run loops of their own.
    "package" would be the whole session, as these folders are no packages."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine: scripts/setup.sh --testing installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_window(browser: Browser) -> Iterator[OpenWindow]:
    windows: list[Window] = []

    def opened(site: WebSite, *, language: str = "en-US", phone: bool = False, dark: bool = False) -> Window:
        windows.append(Window.open(browser, site.address, language=language, phone=phone, dark=dark))
        return windows[-1]

    yield opened
    for window in windows:
        window.close()
    assert [fault for window in windows for fault in window.unexpected()] == []


# -- material ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 2 s of English, 22.05 kHz mono."""
    path = tmp_path_factory.mktemp("speech") / "monday.wav"
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(path), "Maybe we open the window."), check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def long_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 9 s of English."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    sentence = "Maybe we open the window. " * 5
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(path), sentence), check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "faceless.mp4"
    source = "testsrc2=size=320x240:rate=25:duration=1"
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(path)), check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def presenters(weights: Path, speech: Path, portrait_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the face of portrait_clip has been learned."""

    def learn(folder: Path) -> None:
        with Site(folder=tmp_path_factory.mktemp("learning") / "site", weights=weights, cache=folder / "cache") as site:
            site.drop("lesson", speech, [portrait_clip])
            assert site.run_until_idle() == 0

    copy = tmp_path_factory.mktemp("presenters") / "cache"
    shutil.copytree(cached("web-presenters", learn) / "cache", copy)
    return copy


# -- sites -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_site(tmp_path: Path, weights: Path, presenters: Path) -> Iterator[MakeSite]:
    """Make installations with settings of their own; nothing runs in them yet."""
    with ExitStack() as sites:

        def make(*, web: str = "", settings: str = "") -> WebSite:
            return sites.enter_context(WebSite(folder=tmp_path / "site", weights=weights, cache=presenters, web=web, settings=settings))

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> WebSite:
    """An installation of one's own, with a running page and no daemon."""
    made = make_site()
    made.start_page()
    return made


@pytest.fixture(scope="session")
def finished(
    weights: Path, presenters: Path, speech: Path, portrait_clip: Path, faceless: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebSite]:
    """A running installation to look at: `lesson` succeeded, with a ZIP and a diagnostic image; `mixed` failed in part, with a warning."""
    folder = tmp_path_factory.mktemp("finished") / "site"
    with WebSite(folder=folder, weights=weights, cache=presenters) as made:
        made.start()
        made.start_page()
        made.drop("lesson", speech, [portrait_clip], {"job.toml": "zip = true\nexplain = true\n"})
        made.drop("mixed", speech, [portrait_clip, faceless], {"raw/take2.mp4": "not used"})
        made.wait_for_state("lesson", "succeeded", timeout=300)
        made.wait_for_state("mixed", "partial", timeout=300)
        yield made
