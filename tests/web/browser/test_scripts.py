"""The parts of the scripts that compute: clock, numbers in words, merged jobs, own addresses. Run by Chromium, without a page of ours."""

import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route

from heygem_daemon.media.reader import ping_pong
from heygem_daemon.web.app import STATIC

MODULES: Final = ("timeline", "formats", "joblist", "ownaddress")
PLACE: Final = "http://scripts.example"

Run = Callable[[str], Any]


def _serve(route: Route) -> None:
    """Answer a request from the folder of the scripts; nothing goes over a network."""
    name = PurePosixPath(urlsplit(route.request.url).path).name
    if name:
        route.fulfill(path=STATIC / "js" / name, content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@pytest.fixture(scope="module")
def run(browser: Browser) -> Iterator[Run]:
    """Return what evaluates an expression over these modules, each by its name."""
    page = browser.new_page()
    page.route("**/*", _serve)
    page.goto(f"{PLACE}/")
    imports = "".join(f"const {name} = await import('{PLACE}/{name}.js'); " for name in MODULES)
    yield lambda expression: page.evaluate(f"async () => {{ {imports} return {expression}; }}")
    page.close()


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_the_player_shows_the_source_frame_that_the_renderer_took(run: Run, frames: int) -> None:
    shown = run(f"Array.from({{length: 40}}, (_, position) => timeline.sourceAt((position + 0.5) / 25, 25, {frames}).frame)")
    assert shown == [ping_pong(position, frames) for position in range(40)]


def test_the_frame_is_right_at_its_very_beginning_and_end_for_an_exact_rate(run: Run) -> None:
    rate = "timeline.rateOf('30000/1001')"
    assert run(f"Array.from({{length: 5000}}, (_, n) => timeline.frameAt(n / {rate}, {rate})).every((frame, n) => frame === n)")
    assert run(f"Array.from({{length: 5000}}, (_, n) => timeline.frameAt((n + 0.99) / {rate}, {rate})).every((frame, n) => frame === n)")


def test_on_the_way_back_the_source_stands_in_the_middle_of_a_frame(run: Run) -> None:
    there, back, again = run("[3.4, 5.4, 8.4].map((position) => timeline.sourceAt(position / 10, 10, 5))")
    assert (there["frame"], there["forwards"]) == (3, True)
    assert there["time"] == pytest.approx(0.34)
    assert (back["frame"], back["forwards"]) == (3, False)
    assert back["time"] == pytest.approx(0.35)
    assert (again["frame"], again["forwards"]) == (0, True)
    assert again["time"] == pytest.approx(0.04)


def test_a_step_stays_inside_the_video(run: Run) -> None:
    assert run("[[0, -1], [0.5, 1], [0.9, 1], [0, 99]].map(([at, by]) => timeline.frameAt(timeline.stepped(at, by, 10, 1), 10))") == [
        0,
        6,
        9,
        9,
    ]


def test_rates_are_read_exactly_and_nonsense_is_25(run: Run) -> None:
    assert run("['24000/1001', '50', '', null, '25/0', 'x'].map(timeline.rateOf)") == [24000 / 1001, 50, 25, 25, 25, 25]


def test_a_percentage_reads_100_only_at_the_end(run: Run) -> None:
    assert run("[null, -3, 0.4, 99.7, 100, 120].map(formats.wholePercent)") == [0, 0, 0, 99, 100, 100]


def test_places_in_the_queue_have_their_english_endings(run: Run) -> None:
    places = run("[1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map((n) => formats.place(n))")
    assert places[0][0] == "jobs.place.next"
    assert [place[1]["th"] for place in places[1:]] == ["nd", "rd", "th", "th", "th", "th", "st", "nd", "th"]


def test_the_time_left_is_coarse(run: Run) -> None:
    assert run("[null, 0, 12, 70, 5400].map((seconds) => formats.timeLeft(seconds))") == [
        None,
        ["jobs.left.seconds", {"n": 5}],
        ["jobs.left.seconds", {"n": 15}],
        ["jobs.left.minutes", {"n": 1}],
        ["jobs.left.hours", {"n": 1.5}],
    ]


def test_initials_stand_for_any_name(run: Run) -> None:
    assert run("['monday-lesson', '周一晨会', '<img src=x>', '..', 'a', 'Été 2'].map(formats.initials)") == [
        "ML",
        "周",
        "IX",
        "?",
        "A",
        "É2",
    ]


def test_a_new_drop_keeps_its_row_when_the_daemon_gives_it_an_id(run: Run) -> None:
    script = """(() => {
      const jobs = new joblist.JobList();
      const row = jobs.put({ id: "ref-1", reference: "ref-1", state: "settling" });
      const same = jobs.put({ id: "2026-a", reference: "ref-1", state: "queued", position: 1 });
      return [row === same, jobs.remove("ref-1"), jobs.open().map(([key, job]) => [key, job.id])];
    })()"""
    assert run(script) == [True, None, [["ref-1", "2026-a"]]]


def test_a_second_job_with_the_same_reference_has_a_row_of_its_own(run: Run) -> None:
    script = """(() => {
      const jobs = new joblist.JobList();
      jobs.put({ id: "2026-a", reference: "mine", state: "queued" });
      jobs.put({ id: "2026-b", reference: "mine", state: "queued" });
      return jobs.open().length;
    })()"""
    assert run(script) == 2


def test_a_fresh_list_forgets_what_is_gone_and_keeps_the_rows_of_the_others(run: Run) -> None:
    script = """(() => {
      const jobs = new joblist.JobList();
      jobs.put({ id: "drop", reference: "drop", state: "settling" });
      jobs.put({ id: "gone", state: "queued" });
      jobs.replace([{ id: "2026-a", reference: "drop", state: "running" }]);
      return jobs.open().map(([key, job]) => [key, job.id]);
    })()"""
    assert run(script) == [["drop", "2026-a"]]


def test_the_queue_is_in_its_order_and_the_finished_jobs_are_newest_first(run: Run) -> None:
    script = """(() => {
      const jobs = new joblist.JobList();
      const at = (second) => new Date(1e12 + second * 1000).toISOString();
      jobs.put({ id: "arrives", state: "settling", since: at(0) });
      jobs.put({ id: "held", state: "waiting", since: at(1) });
      jobs.put({ id: "second", state: "queued", position: 2, since: at(2) });
      jobs.put({ id: "first", state: "queued", position: 1, since: at(3) });
      jobs.put({ id: "runs", state: "running", since: at(4) });
      jobs.put({ id: "old", state: "failed", finished: at(5) });
      jobs.put({ id: "new", state: "succeeded", finished: at(6) });
      return [jobs.open(), jobs.finished(10)].map((rows) => rows.map(([, job]) => job.id));
    })()"""
    assert run(script) == [["runs", "first", "second", "held", "arrives"], ["new", "old"]]


ORIGIN: Final = "http://lipsync.example:7860"


@pytest.mark.parametrize(
    "wanted",
    [
        "/.//evil.example/x",
        "/a/..//evil.example",
        "/./\\evil.example",
        "/\\evil.example",
        "//evil.example",
        "/\t/evil.example",
        "/%2e//evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "//",
        "//[",
        "",
    ],
)
def test_the_login_leads_nowhere_else(run: Run, wanted: str) -> None:
    assert run(f"ownaddress.ownAddress({json.dumps(wanted)}, {json.dumps(ORIGIN)})") == f"{ORIGIN}/"


@pytest.mark.parametrize("wanted", ["/", "/jobs/a%20b?x=1&y=//evil.example#z", "/history?q=https://evil.example"])
def test_the_login_leads_back_to_where_one_was(run: Run, wanted: str) -> None:
    assert run(f"ownaddress.ownAddress({json.dumps(wanted)}, {json.dumps(ORIGIN)})") == ORIGIN + wanted
