"""Sick machines and sick devices: nothing hangs, no good file fails, and the next item works."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.daemon.doubles import make_film, make_speech
from tests.e2e.site import Site
from tests.media import sick_tools
from tests.media.sick_tools import SickTool, sicken
from tests.prove.proof import Proof
from tests.prove.sick_engine import SILENCE_SECONDS, STALL_SECONDS, SickSite
from tests.prove.small_device import FACES

PROOF: Final = Proof(suite="sickness")
SETTINGS: Final = (
    "[retry]\nbackoff_seconds = [1.0, 2.0]\nbreaker_failures = 3\nbreaker_seconds = 4.0\n"
    "[limits]\nprobe_seconds = 0.4\nitem_seconds = 60.0\n"
)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose frames do not fit into a pipe."""
    path = tmp_path_factory.mktemp("film") / "long.mp4"
    source = "testsrc2=size=640x480:rate=25:duration=6"
    command = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path))
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speech(tmp_path_factory.mktemp("tone") / "speech.wav")


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 2 s of English."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(("espeak-ng", "-v", "en-us", "-w", str(path), "Maybe we open the window."), check=True, timeout=60)
    return path


@pytest.fixture
def site(tmp_path: Path, film: Path) -> Iterator[SickSite]:
    folder = tmp_path / "site"
    with SickSite(folder=folder, weights=tmp_path, cache=tmp_path / "cache", film=film, settings=SETTINGS) as made:
        yield made


def start(site: SickSite) -> None:
    site.start(environment=site.environment(os.environ))


def ill(program: str, site: SickSite, action: str, *, at: str = "true") -> SickTool:
    return sicken(site.folder / "programs", program, action, at=at)


def job_toml(text: str) -> dict[str, str]:
    return {"job.toml": f'text = "{text}"\n'}


def item_of(status: dict[str, Any]) -> dict[str, Any]:
    return dict(status["items"][0])


def attempts(site: SickSite, status: dict[str, Any]) -> int:
    """Return how often the worker of the site was given the item."""
    return len((site.sick / f"{status['job']}.ill").read_text(encoding="utf-8").splitlines())


def test_a_small_device_a_mad_worker_and_killed_programs_cost_no_drop(site: SickSite, tone: Path, film: Path) -> None:
    killed = ill("ffprobe", site, sick_tools.KILLED.format(signal="KILL"), at="[ $n -le 2 ]")
    site.drop("device", tone, [film], job_toml("device! 3"))
    site.drop("garbage", tone, [film], job_toml("garbage"))
    start(site)
    found = {name: site.wait_for_state(name, "succeeded", "failed", "partial", "rejected") for name in ("device", "garbage")}
    assert {name: status["state"] for name, status in found.items()} == dict.fromkeys(found, "succeeded")
    assert killed.calls > 2
    assert (site.sick / f"{found['device']['job']}.batches").read_text(encoding="utf-8") == "12 8 4 2 2 2 2 2 2"
    assert attempts(site, found["garbage"]) == 1


# -- the whole proof ---------------------------------------------------------------------------------------------------


@pytest.mark.prove
def test_out_of_memory_on_the_device_halves_the_batch_then_fails_the_item_and_the_next_works(
    site: SickSite, tone: Path, film: Path
) -> None:
    site.drop("roomy", tone, [film], job_toml("device! 3"))
    start(site)
    roomy = site.wait_for_state("roomy", "succeeded", "failed")
    batches = (site.sick / f"{roomy['job']}.batches").read_text(encoding="utf-8").split()
    held = roomy["state"] == "succeeded" and attempts(site, roomy) == 1
    PROOF.row(
        f"A device with memory for 3 of {FACES} faces: the batch is halved until it fits",
        f"batches {' '.join(batches)}; the item {roomy['state']} at attempt {attempts(site, roomy)}",
        "succeeded at the first attempt",
        held,
    )
    site.drop("cramped", tone, [film], job_toml("device! 0"))
    site.wait_for(lambda: site.events("breaker_opened"), "the breaker never opened")
    opened = time.monotonic()
    site.drop("next", tone, [film], job_toml("well"))
    said: list[str] = []

    def closed() -> bool:
        text = str(site.status())
        if "The device failed" in text and text not in said:
            said.append(text)
        return bool(site.events("breaker_closed"))

    site.wait_for(closed, "the breaker never closed")
    PROOF.row(
        "3 device failures in a row open the breaker; it closes by itself with the first item that works",
        f"named in status.json: {'yes' if said else 'no'}; closed after {time.monotonic() - opened:.0f} s",
        "named in the status; closed by itself",
        bool(said),
    )
    cramped, after = site.wait_for_state("cramped", "failed"), site.wait_for_state("next", "succeeded")
    problem = item_of(cramped)["error"]
    PROOF.row(
        "A device without memory for one face: the item fails and names it, the next item works",
        f"{cramped['state']} ({problem['code']}) after {attempts(site, cramped)} attempts, then {after['state']}",
        "failed (device_memory) after 3, then succeeded",
        (problem["code"], attempts(site, cramped), after["state"]) == ("device_memory", 3, "succeeded"),
    )


HANGS: Final = {
    "sleep": ("the engine sleeps for ever", SILENCE_SECONDS),
    "spin": ("the engine computes for ever in C, and no other thread of the worker runs", SILENCE_SECONDS),
    "block": ("the engine waits for ever in C, as in a driver that hangs, and no other thread of the worker runs", SILENCE_SECONDS),
    "stop": ("the whole worker is stopped (SIGSTOP)", SILENCE_SECONDS),
    "decode": ("the ffmpeg that decodes is stopped (SIGSTOP)", STALL_SECONDS),
    "encode": ("the ffmpeg that encodes is stopped (SIGSTOP)", STALL_SECONDS),
}


@pytest.mark.prove
@pytest.mark.parametrize("hang", HANGS)
def test_a_hang_is_ended_in_bounded_time_and_the_item_is_made_again(site: SickSite, tone: Path, long_film: Path, hang: str) -> None:
    words, limit = HANGS[hang]
    site.drop("lesson", tone, [long_film], job_toml(hang))
    start(site)
    site.wait_for(lambda: site.events("item_started"), "it never started")
    began = time.monotonic()
    site.wait_for(lambda: site.events("item_retrying"), "the hang was never ended")
    seconds = time.monotonic() - began
    status = site.wait_for_state("lesson", "succeeded", "failed", "rejected")
    (retried,) = site.events("item_retrying")
    PROOF.row(
        f"A hang: {words} (time limit in this proof: {limit:g} s)",
        f"ended after {seconds:.1f} s as {retried['error_code']}; the item {status['state']}",
        f"<= {limit + 8:g} s; succeeded",
        seconds <= limit + 8 and status["state"] == "succeeded",
    )


@pytest.mark.prove
def test_an_inspection_that_hangs_is_ended_and_made_again(site: SickSite, tone: Path, film: Path) -> None:
    stopped = ill("ffprobe", site, "kill -STOP $$", at="[ $n -eq 1 ]")
    site.drop("lesson", tone, [film], job_toml("well"))
    start(site)
    began = time.monotonic()
    status = site.wait_for_state("lesson", "succeeded", "failed", "rejected")
    PROOF.row(
        "A hang: the ffprobe that looks into a new drop is stopped (SIGSTOP; time limit in this proof: 4 s)",
        f"{status['state']} after {time.monotonic() - began:.0f} s, {stopped.calls} calls of ffprobe",
        "succeeded, more than one call",
        status["state"] == "succeeded" and stopped.calls > 1,
    )


@pytest.mark.prove
@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("garbage", "300 lines of garbage between the reports of a worker", 1),
        ("line", "a line of 100 MB between the reports of a worker", 2),
        ("flood", "a worker that writes garbage without end", 2),
        ("close", "a worker that closes its pipe and lives on", 2),
        ("killed", "a worker that is killed (SIGKILL)", 2),
        ("memory", "PyTorch gets no memory from the machine", 2),
    ],
)
def test_whatever_a_worker_does_to_its_reports_the_daemon_goes_on(
    site: SickSite, tone: Path, film: Path, text: str, words: str, expected: int
) -> None:
    site.drop("lesson", tone, [film], job_toml(text))
    site.drop("other", tone, [film], job_toml("well"))
    start(site)
    status, other = (site.wait_for_state(name, "succeeded", "failed", "rejected") for name in ("lesson", "other"))
    slow, log = site.events("tick_slow"), site.log_file.stat().st_size
    PROOF.row(
        f"A worker gone mad: {words}",
        f"the item {status['state']} at attempt {attempts(site, status)}, the other {other['state']}; "
        f"{len(slow)} steps over 1 s, {log / 2**20:.1f} MiB of log",
        f"both succeeded, at attempt {expected} at the latest; 0 steps over 1 s, < 2 MiB",
        (status["state"], other["state"], len(slow)) == ("succeeded", "succeeded", 0)
        and attempts(site, status) <= expected
        and log < 2**21,
    )


@pytest.mark.prove
@pytest.mark.parametrize("program", ["ffmpeg", "ffprobe"])
def test_a_program_that_is_missing_is_named_and_its_drops_wait(
    site: SickSite, tone: Path, film: Path, program: str, tmp_path: Path
) -> None:
    programs = tmp_path / "only"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    link = (programs / program).rename(tmp_path / "away")
    site.start(environment={**site.environment(os.environ), "PATH": str(programs)})
    site.drop("lesson", tone, [film], job_toml("well"))
    site.wait_for(lambda: "is not installed" in str(site.status("lesson").get("reason")), "it was never named", 60)
    waiting = site.status("lesson")
    link.rename(programs / program)
    done = site.wait_for_state("lesson", "succeeded", "failed", "rejected")
    PROOF.row(
        f"{program} is missing when a drop comes in, and comes back",
        f'waits with "{waiting["reason"]}", then {done["state"]}',
        "waits and names it, then succeeded by itself",
        done["state"] == "succeeded",
    )


@pytest.mark.prove
def test_a_check_that_is_killed_is_made_again_and_the_result_is_kept(site: SickSite, tone: Path, film: Path) -> None:
    at_first = '[[ "$*" == *count_frames* ]] && touch "$0.checks" && [ $(wc -l < "$0.checks") -lt 2 ] && echo x >> "$0.checks"'
    checks = ill("ffprobe", site, sick_tools.KILLED.format(signal="KILL"), at=at_first)
    site.drop("lesson", tone, [film], job_toml("well"))
    start(site)
    status = site.wait_for_state("lesson", "succeeded", "failed", "rejected")
    made = (checks.folder / "ffprobe.checks").read_text(encoding="utf-8").count("x")
    PROOF.row(
        "The check of a finished result is killed twice (SIGKILL)",
        f"{status['state']} after {made} killed checks, rendered {attempts(site, status)} time",
        "succeeded after 2, rendered once",
        (status["state"], made, attempts(site, status)) == ("succeeded", 2, 1),
    )


MATRIX: Final = {
    "killed (SIGKILL)": sick_tools.KILLED.format(signal="KILL"),
    "killed behind a shell (exit 137)": sick_tools.CHILD_KILLED.format(signal="KILL"),
    "killed in the middle of its output": sick_tools.KILLED_IN_BETWEEN.format(size=300, signal="KILL"),
    "terminated (SIGTERM)": sick_tools.KILLED.format(signal="TERM"),
    "out of memory": sick_tools.SAYS.format(words="Cannot allocate memory"),
    "out of tasks": sick_tools.SAYS.format(words="Resource temporarily unavailable"),
    "out of open files": sick_tools.SAYS.format(words="Too many open files"),
    "the share is gone (ESTALE)": sick_tools.SAYS.format(words="Stale file handle"),
    "a library of it is missing": sick_tools.UNLINKED,
    "crashing at every file (SIGSEGV)": sick_tools.KILLED.format(signal="SEGV"),
    "answering slowly (3 s, at a limit of 0.4)": sick_tools.SLOW.format(seconds=3),
}


@pytest.mark.prove
@pytest.mark.parametrize("illness", MATRIX)
def test_no_drop_is_refused_while_the_programs_of_the_machine_are_ill(site: SickSite, tone: Path, film: Path, illness: str) -> None:
    """Through the daemon: every ffprobe and ffmpeg is ill for ten seconds, then all are well."""
    ills = [ill(program, site, MATRIX[illness]) for program in ("ffprobe", "ffmpeg")]
    site.drop("lesson", tone, [film], job_toml("well"))
    start(site)
    site.wait_for(lambda: ills[0].calls, "no program was called")
    time.sleep(10)
    calls = ills[0].calls  # of both, which share a count
    for each, program in zip(ills, ("ffprobe", "ffmpeg"), strict=True):
        sicken(each.folder, program, "false", at="false")
    status = site.wait_for_state("lesson", "succeeded", "failed", "rejected", "partial")
    PROOF.row(
        f"Every ffprobe and ffmpeg on the machine is ill for 10 s: {illness}",
        f"the drop {status['state']}, rendered {attempts(site, status)} time, after {calls} calls of ill programs",
        "succeeded, rendered once",
        (status["state"], attempts(site, status)) == ("succeeded", 1),
    )


@pytest.mark.prove
@pytest.mark.parametrize("damaged", ["face_landmark.tflite", "face_detection_short_range.tflite", "phonetic.safetensors"])
def test_a_damaged_model_is_refused_by_its_hash_and_the_drop_waits(
    tmp_path: Path, weights: Path, speech: Path, portrait_clip: Path, damaged: str
) -> None:
    """Through the product's own engine."""
    models = tmp_path / "weights"
    shutil.copytree(weights, models)
    whole = (models / damaged).read_bytes()
    content = bytearray(whole)
    content[len(content) // 2] ^= 1
    (models / damaged).write_bytes(content)
    with Site(folder=tmp_path / "site", weights=models, cache=tmp_path / "cache", settings="[retry]\nbackoff_seconds = [2.0]\n") as site:
        site.drop("lesson", speech, [portrait_clip])
        site.start()
        site.wait_for(lambda: site.events("item_retrying"), "it never began", 240)
        waiting, (first, *_) = site.status("lesson"), site.events("item_retrying")
        (models / damaged).write_bytes(whole)
        done = site.wait_for_state("lesson", "succeeded", "failed", "rejected", timeout=600)
    PROOF.row(
        f"One bit of {damaged} is flipped, and put right again",
        f'{first["error_code"]}: "{first["reason"]}"; then {done["state"]} at attempt {item_of(done)["attempt"]}',
        "waits and names the file, then succeeded by itself at the first attempt",
        damaged in first["reason"] and waiting["state"] != "failed" and (done["state"], item_of(done)["attempt"]) == ("succeeded", 1),
    )
