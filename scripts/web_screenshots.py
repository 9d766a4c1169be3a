"""`python -m scripts.web_screenshots`: the images in docs/web/, of every screen of the page with a real daemon behind it.

Needs Chromium and fonts with Chinese characters (scripts/setup.sh --testing). Takes some minutes: the jobs on the images are real ones.
"""

import argparse
import io
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from heygem_daemon.core.job import FINAL, State
from heygem_daemon.core.status import JobStatus
from scripts.demo import background, heygem
from scripts.sample_drop import film, speech_command

FOLDER: Final = Path("docs/web")
CACHE: Final = Path(".cache/screenshots")
"""Learned presenters stay for the next run."""
PORT: Final = 18760
LANGUAGES: Final = {"en": "en-US", "zh": "zh-CN"}
SITE: Final = Path(tempfile.gettempdir()) / "studio"
"""Its path is seen on the screens: a plain name, nothing random."""
VIEWPORTS: Final[dict[str, ViewportSize]] = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
DESKTOP_HEIGHTS: Final = {"job": 1010, "system": 1400}
"""Screens that need more than a window of the usual height to show what they are there for."""
SCALES: Final = {"desktop": 1, "phone": 1.5}
LARGEST_FILE: Final = 120_000
LARGEST_FOLDER: Final = 2_000_000
WAIT_SECONDS: Final = 900.0

LOOKS: Final = {
    "studio": "crop=640:480:0:20",
    "close-up": "crop=420:420:110:60,scale=640:640",
    "left-handed": "hflip,eq=saturation=1.15:gamma=1.05",
    "archive": "hue=s=0,eq=contrast=1.05",
}
"""The same presenter as filmed several times: name of the video -> filters of ffmpeg."""


class Studio:
    """A site in a temporary folder: its configuration, what is dropped into it, and what became of that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.outputs = folder / "outputs"
        self.config = folder / "heygem.toml"
        self.material = folder / "material"
        for each in (self.inbox, self.outputs, folder / "state", folder / "web", self.material):
            each.mkdir(parents=True)
        subprocess.run([*heygem("init-inbox"), str(self.inbox)], check=True, stdout=subprocess.DEVNULL)
        self.config.write_text(
            f'inboxes = ["{self.inbox}"]\noutputs = "{self.outputs}"\nstate = "{folder / "state"}"\ncache = "{CACHE.absolute()}"\n'
            f'weights = "{Path("weights").absolute()}"\n[web]\nport = {PORT}\nstate = "{folder / "web"}"\n'
            "[intake]\nsettle_seconds = 0.5\nscan_seconds = 0.5\n[stop]\ngrace_seconds = 0\n",
            encoding="utf-8",
        )

    def make_material(self) -> None:
        """Write the recordings and the videos."""
        for voice in ("en", "zh"):
            subprocess.run(speech_command(voice, self.material / f"{voice}.wav"), check=True, timeout=60)
        film(self.material / "film.mp4")
        for name, filters in LOOKS.items():
            look = ("-vf", filters, "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", str(self.material / f"{name}.mp4"))
            subprocess.run(("ffmpeg", "-v", "error", "-y", "-i", str(self.material / "film.mp4"), *look), check=True, timeout=120)
        both = [argument for name in ("close-up", "left-handed") for argument in ("-i", str(self.material / f"{name}.mp4"))]
        pair = ("-filter_complex", "[0][1]hstack", "-c:v", "libx264", "-crf", "16", str(self.material / "interview.mp4"))
        subprocess.run(("ffmpeg", "-v", "error", "-y", *both, *pair), check=True, timeout=120)
        scenery = ("-f", "lavfi", "-i", "mandelbrot=size=640x640:rate=25", "-t", "3", "-pix_fmt", "yuv420p")
        subprocess.run(("ffmpeg", "-v", "error", "-y", *scenery, str(self.material / "title-card.mp4")), check=True, timeout=120)

    def drop(self, name: str, voice: str, *videos: str, options: str = "") -> None:
        """Put a drop into the inbox, in one step."""
        folder = self.material / name
        (folder / "videos").mkdir(parents=True)
        shutil.copyfile(self.material / f"{voice}.wav", folder / "speech.wav")
        for video in videos:
            shutil.copyfile(self.material / f"{video}.mp4", folder / "videos" / f"{video}.mp4")
        if options:
            (folder / "job.toml").write_text(options, encoding="utf-8")
        folder.rename(self.inbox / name)

    def status(self, name: str) -> JobStatus | None:
        for path in self.outputs.glob("*/status.json"):
            status = JobStatus.read(path.read_bytes())
            if status.name == name:
                return status
        return None

    def wait_for(self, name: str, condition: Callable[[JobStatus], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while (status := self.status(name)) is None or not condition(status):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name}: {status}")
            time.sleep(0.2)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the daemon and the page."""
        words = ("--config", str(self.config))
        with (
            background("daemon", heygem("run", *words), self.folder / "daemon.log", {}),
            background("page", heygem("web", *words), self.folder / "page.log", {}),
        ):
            yield


class Camera:
    """Takes the images of a screen: both sizes in both languages."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser = browser
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(
        self,
        name: str,
        path: str,
        prepare: Callable[[Page, str], None],
        *,
        languages: Sequence[str] = tuple(LANGUAGES),
        devices: Sequence[str] = tuple(VIEWPORTS),
        dark: bool = False,
    ) -> None:
        """Open `path`, let `prepare` wait for (or make) what is to be seen, and write the images."""
        for language in languages:
            for device in devices:
                context = self._window(name, device, language, dark=dark)
                page = context.new_page()
                page.goto(path)
                prepare(page, language)
                page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
                page.wait_for_timeout(300)
                with Image.open(io.BytesIO(page.screenshot())) as image:
                    write_small(image.convert("RGB"), self.folder / f"{name}-{device}-{language}{'-dark' if dark else ''}.webp")
                context.close()

    def _window(self, name: str, device: str, language: str, *, dark: bool) -> BrowserContext:
        viewport = VIEWPORTS[device].copy()
        if device == "desktop":
            viewport["height"] = DESKTOP_HEIGHTS.get(name, viewport["height"])
        return self.browser.new_context(
            base_url=f"http://127.0.0.1:{PORT}",
            locale=LANGUAGES[language],
            viewport=viewport,
            device_scale_factor=SCALES[device],
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )


def write_small(image: Image.Image, target: Path) -> None:
    """Write a WebP of the best quality that stays below LARGEST_FILE."""
    for quality in range(86, 30, -8):
        image.save(target, quality=quality, method=6)
        if target.stat().st_size <= LARGEST_FILE:
            return
    raise ValueError(f"{target} does not become smaller than {LARGEST_FILE} bytes")


def main() -> int:
    """Make all images; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=FOLDER)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with new_folder(SITE), sync_playwright() as playwright:
        studio = Studio(SITE)
        studio.make_material()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with studio.running():
            try:
                wait_for_page()
                shoot(studio, Camera(browser, options.to))
            except Exception:
                print((studio.folder / "page.log").read_text(encoding="utf-8")[-2000:], file=sys.stderr)
                raise
        browser.close()
    total = sum(path.stat().st_size for path in options.to.glob("*.webp"))
    print(f"{options.to}: {len(list(options.to.glob('*.webp')))} images, {total / 1e6:.2f} MB")
    if total > LARGEST_FOLDER:
        raise ValueError(f"all images together are larger than {LARGEST_FOLDER} bytes")
    return 0


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder that must not be there yet, and delete it at the end."""
    path.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(path)


def wait_for_page() -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/v1/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the page did not come up")


def is_final(status: JobStatus) -> bool:
    return status.state in FINAL


def shoot(studio: Studio, camera: Camera) -> None:
    """Fill the site with jobs, and take the screens in the order in which they have something to show."""
    studio.drop("Welcome", "en", "studio", options="zip = true\nexplain = true\n")
    studio.drop("第三课 欢迎", "zh", "close-up", "left-handed", options="zip = true\n")
    studio.drop("Safety briefing", "en", "archive", "title-card")
    studio.drop("Trailer", "en", "title-card")
    for name in ("Welcome", "第三课 欢迎", "Safety briefing", "Trailer"):
        studio.wait_for(name, is_final)
    studio.drop("Morning news", "en", *LOOKS, options="priority = 10\n")
    studio.wait_for("Morning news", lambda status: status.state is State.RUNNING)
    (studio.inbox / "For review.hold").touch()
    studio.drop("第四课 复习", "zh", "studio", "archive")
    studio.drop("For review", "en", "close-up")
    studio.wait_for("第四课 复习", lambda status: status.position is not None)
    studio.wait_for("Morning news", lambda status: status.progress is not None and status.progress.percent > 20)
    camera.take("queue", "/queue", waiting_for("#pause-all"))
    camera.take("queue", "/queue", waiting_for("#pause-all"), languages=("en",), dark=True)
    camera.take("new", "/", lambda page, language: fill_in(studio, page, language))
    camera.take("new-single", "/", lambda page, language: fill_in_one(studio, page, language))
    camera.take("faces-dialog", "/", lambda page, language: choose_face(studio, page, language), devices=("desktop",))
    (studio.inbox / "Morning news.cancel").touch()
    camera.take("api", "/api", waiting_for("main h2"))
    camera.take("system", "/system", waiting_for("#findings li >> nth=0"))
    for name in ("Morning news", "第四课 复习"):
        studio.wait_for(name, is_final)
    camera.take("history", "/history", waiting_for("#gallery a >> nth=4"))
    camera.take("job", "/jobs/Welcome", play)
    camera.take("job", "/jobs/Welcome", play, languages=("en",), dark=True)
    command = heygem("web", "user", "add", "anna", "--password-stdin", "--config", str(studio.config))
    subprocess.run(command, input=b"a password of hers\n", check=True)
    camera.take("login", "/login", waiting_for("input[type=password]"))


def waiting_for(selector: str) -> Callable[[Page, str], None]:
    """Return what waits until the element is seen, and its images are loaded."""

    def wait(page: Page, _: str) -> None:
        page.locator(selector).first.wait_for()
        page.wait_for_load_state("load")
        page.wait_for_timeout(500)

    return wait


def fill_in(studio: Studio, page: Page, language: str) -> None:
    """Choose the files of a job, and wait until their faces and the waveform are there."""
    choose_files(studio, page, language, "studio", "left-handed", "title-card")
    page.locator(".video .badge.good").nth(1).wait_for(timeout=60_000)
    page.locator(".video .badge.bad").wait_for(timeout=60_000)
    page.wait_for_timeout(500)


def fill_in_one(studio: Studio, page: Page, language: str) -> None:
    """Choose one recording and one video."""
    page.locator("#tab-single").click()
    choose_files(studio, page, language, "studio")
    page.locator(".video .badge.good").wait_for(timeout=60_000)
    page.wait_for_timeout(500)


def choose_face(studio: Studio, page: Page, language: str) -> None:
    """Open the dialog on a video with two faces."""
    choose_files(studio, page, language, "interview", "studio")
    page.locator(".video .verdict button").click(timeout=60_000)
    page.locator(".faces-stage img").wait_for()
    page.wait_for_timeout(500)


def choose_files(studio: Studio, page: Page, language: str, *videos: str) -> None:
    page.locator("#recording-input[accept]").set_input_files(studio.material / f"{language}.wav")
    page.locator("#videos-input").set_input_files([studio.material / f"{name}.mp4" for name in videos])
    page.locator("#name").fill({"en": "Tuesday lesson", "zh": "第五课 练习"}[language])
    page.locator("#consent").check()
    page.locator("#consent-name").fill({"en": "Anna Berg", "zh": "李雯"}[language])


def play(page: Page, _: str) -> None:
    """Go to a frame in the middle of the result."""
    result = page.locator(".stage-result video").first
    result.evaluate("video => new Promise(done => { video.onseeked = done; video.currentTime = 2.2; })")
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    sys.exit(main())
