"""The form of a new job: drag and drop, who speaks in a video of two, the waveform, and how far an upload has come."""

import re
import time
import tomllib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import JSHandle, Locator, Page, expect

from tests.web.browser.conftest import OpenWindow
from tests.web.browser.material import enlarge, side_by_side
from tests.web.browser.screens import SLOWLY, NewJob
from tests.web.browser.web_site import WebSite

pytestmark = pytest.mark.web

SIZE: Final = 3 * 2**20
UPLOAD_SPEED: Final = 400_000
VERDICT_SECONDS: Final = 15


def carrying(page: Page, *paths: Path) -> JSHandle:
    """Return what the browser hands over when these files are dropped."""
    files = [{"name": path.name, "content": b64encode(path.read_bytes()).decode()} for path in paths]
    return page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const { name, content } of files) {
            transfer.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt(0))], name));
          }
          return transfer;
        }""",
        files,
    )


def drag_and_drop(target: Locator, *paths: Path) -> None:
    """Drag files over an element, and drop them there."""
    page = target.page
    for event in ("dragenter", "dragover"):
        target.dispatch_event(event, {"dataTransfer": carrying(page, *paths)})
    expect(page.locator("#drop-veil")).to_be_visible()
    target.dispatch_event("drop", {"dataTransfer": carrying(page, *paths)})
    expect(page.locator("#drop-veil")).to_be_hidden()


@pytest.fixture
def second_clip(portrait_clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "second.mp4"
    path.write_bytes(portrait_clip.read_bytes())
    return path


def test_files_that_are_dropped_on_the_two_zones_become_a_drop(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, second_clip: Path
) -> None:
    form = NewJob.of(open_window(site))
    drag_and_drop(form.page.locator("#recording-zone"), speech)
    expect(form.page.locator("#recording .file-name")).to_have_text(speech.name)
    drag_and_drop(form.page.locator("#videos-zone"), portrait_clip, second_clip)
    expect(form.page.locator("#videos .file-name")).to_have_text([portrait_clip.name, second_clip.name])
    form.sign("dragged")
    form.start()
    site.wait_for(lambda: site.drops() == ["dragged"], "no drop")
    dropped = site.inbox / "dragged"
    assert next(dropped.glob(speech.name)).read_bytes() == speech.read_bytes()
    for video in (portrait_clip, second_clip):
        assert (dropped / "videos" / video.name).read_bytes() == video.read_bytes()


def test_files_that_are_dropped_together_beside_the_zones_are_sorted_by_what_they_are(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, second_clip: Path
) -> None:
    form = NewJob.of(open_window(site))
    drag_and_drop(form.page.locator("h1"), second_clip, speech, portrait_clip)
    expect(form.page.locator("#recording .file-name")).to_have_text(speech.name)
    expect(form.page.locator("#videos .file-name")).to_have_text([portrait_clip.name, second_clip.name])


def test_the_face_that_is_chosen_in_a_video_of_two_people_is_in_the_drop(
    site: WebSite, open_window: OpenWindow, speech: Path, portrait_clip: Path, tmp_path: Path
) -> None:
    pair = side_by_side(portrait_clip, tmp_path / "pair.mp4")
    (site.inbox / "PAUSE").touch()
    site.start()
    form = NewJob.of(open_window(site))
    form.choose(speech, pair, portrait_clip)
    of_two = form.page.locator(".video").filter(has_text=pair.name)
    expect(of_two.locator(".badge")).to_contain_text("2 faces", timeout=SLOWLY)
    of_two.locator(".verdict button").click()
    dialog = form.page.locator("dialog.faces-dialog[open]")
    faces = dialog.locator(".face-button")
    expect(faces).to_have_count(2)
    assert dialog.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 700
    first, second = (face.bounding_box() for face in faces.all())
    assert first is not None
    assert second is not None
    assert first["x"] + first["width"] < second["x"], "they are counted from the left"
    faces.nth(1).click()
    expect(dialog).to_have_count(0)
    expect(of_two.locator(".badge")).to_contain_text("Face 2 speaks")
    of_two.locator(".verdict button").click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    form.page.keyboard.press("Escape")
    expect(of_two.locator(".badge")).to_contain_text("Face 2 speaks")
    form.sign("pair")
    form.start()
    job_toml = site.inbox / "pair" / "job.toml"
    site.wait_for(job_toml.exists, "no drop")
    assert tomllib.loads(job_toml.read_text(encoding="utf-8"))["faces"] == {pair.name: 1}


def test_what_is_found_in_a_video_is_said_within_seconds(
    finished: WebSite, open_window: OpenWindow, measured: Callable[[str], None], portrait_clip: Path, faceless: Path
) -> None:
    form = NewJob.of(open_window(finished))
    for video, words in ((portrait_clip, "Face found"), (faceless, "No face found")):
        begun = time.monotonic()
        form.page.locator("#videos-input").set_input_files(video)
        verdict = form.page.locator(".video").filter(has_text=video.name).locator(".verdict")
        expect(verdict).to_contain_text(words, timeout=1000 * VERDICT_SECONDS)
        measured(f"“{words}” for {video.name}: after {time.monotonic() - begun:.1f} s")


def test_a_recording_is_drawn_and_can_be_heard(finished: WebSite, open_window: OpenWindow, long_speech: Path) -> None:
    form = NewJob.of(open_window(finished))
    form.page.locator("#recording-input").set_input_files(long_speech)
    card = form.page.locator("#recording .recording")
    expect(card.locator(".recording-time")).to_have_text(re.compile(r"0:00 / 0:(0\d|1\d)"))
    heights: list[int] = card.locator("canvas").evaluate(
        """canvas => {
          const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Array.from({ length: width }, (_, x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3])
            .filter(alpha => alpha > 0).length);
        }"""
    )
    drawn = [height for height in heights if height]
    assert len(drawn) > 0.4 * len(heights)
    assert max(drawn) > 3 * min(drawn), "loud and quiet differ"
    card.locator(".play-button").click()
    reached: float = card.locator("audio").evaluate(
        "audio => new Promise(done => { audio.ontimeupdate = () => { if (audio.currentTime > 0.5) done(audio.currentTime); }; })"
    )
    assert reached > 0.5
    expect(card.locator(".recording-time")).not_to_contain_text("0:00 / 0:00")
    card.locator(".play-button").click()
    assert card.locator("audio").evaluate("audio => audio.paused")


def test_every_file_says_how_far_its_upload_has_come_and_how_fast_it_is(
    finished: WebSite, open_window: OpenWindow, portrait_clip: Path, tmp_path: Path
) -> None:
    enlarge(portrait_clip, SIZE, tmp_path / "slow.mp4")
    window = open_window(finished)
    form = NewJob.of(window)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": UPLOAD_SPEED}
    window.context.new_cdp_session(window.page).send("Network.emulateNetworkConditions", slow)
    form.page.locator("#videos-input").set_input_files(tmp_path / "slow.mp4")
    line = form.page.locator(".video .progress-text")
    expect(line).to_have_text(re.compile(r"^[\d.]+ [KM]?B of 3 MB · \d+ KB/s · .+ left$"), timeout=30_000)
    assert form.page.locator(".video .bar").get_attribute("aria-valuenow") not in {None, "0", "100"}
    shown = re.search(r"(\d+) KB/s", line.text_content() or "")
    assert shown is not None
    assert 0.3 * UPLOAD_SPEED < 1024 * int(shown[1]) < 3 * UPLOAD_SPEED
    expect(line).to_have_text("Uploaded", timeout=60_000)
