"""Test the commands and pages that a newcomer meets first, and what must not be in a repository."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from heygem_daemon.cli.app import app
from heygem_daemon.core.job_options import KEYS
from heygem_daemon.core.status import JobStatus
from scripts import sample_drop
from scripts.demo import free_name
from scripts.error_page import PAGE as ERRORS
from scripts.error_page import error_page
from scripts.sample_drop import FRAME_RATE, SECONDS, SIZE, make_sample
from scripts.third_party import listed_packages, missing, runtime_packages

READMES: Final = ("README.md", "README.zh-CN.md")
LARGEST_FILE: Final = 2 * 2**20
LARGEST_WEIGHTS: Final = 30 * 2**20
MACHINE_PATH: Final = re.compile(r"(?<![\w.~-])/(?:work|root|farm|home/\w+)/")


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    if not (root / ".git").exists():
        pytest.skip("this is no git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, timeout=60).stdout
    return [path for name in listing.decode().split("\0") if name and (path := root / name).is_file()]


def _make_targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (root / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("page", [*READMES, "CONTRIBUTING.md"])
def test_every_make_command_in_the_pages_exists(root: Path, page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)\b", "\n".join(_code(root / page))))
    assert "test" in named
    assert named <= _make_targets(root)


@pytest.mark.parametrize("page", READMES)
def test_a_readme_names_every_heygem_command_and_no_other(root: Path, page: str) -> None:
    code = "\n".join(_code(root / page))
    rows = "\n".join(line for line in (root / page).read_text(encoding="utf-8").splitlines() if line.startswith("| `heygem"))
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    commands |= {str(group.name) for group in app.registered_groups}
    assert set(re.findall(r"\bheygem ([a-z][a-z-]*)\b", code)) <= commands
    assert {name for name in commands if not re.search(rf"\b{name}\b", rows)} == set()


def _code(page: Path) -> Iterator[str]:
    """Yield what stands in code spans and code blocks."""
    text = page.read_text(encoding="utf-8")
    yield from re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def test_continuous_integration_runs_the_command_of_the_readme(root: Path) -> None:
    script = root / ".ci" / "run"
    commands = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("exec")]
    assert commands == ["exec make test </dev/null"]
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("page", READMES)
def test_the_readme_is_short_and_its_status_example_is_valid(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    examples = re.findall(r"^```json\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    assert JobStatus.model_validate(json.loads(examples[0])).state == "succeeded"


def test_both_readmes_have_the_same_parts(root: Path) -> None:
    english, chinese = ((root / page).read_text(encoding="utf-8") for page in READMES)
    for part in (r"^## ", r"^\| `heygem", r"^├|^│|^└"):
        assert len(re.findall(part, english, re.MULTILINE)) == len(re.findall(part, chinese, re.MULTILINE)), part


def test_the_page_of_drops_names_every_key_of_job_toml_and_no_other(root: Path) -> None:
    table = (root / "docs" / "drops.md").read_text(encoding="utf-8").split("## job.toml")[1]
    named = [key for line in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE) for key in re.findall(r"`(\w+)`", line)]
    assert sorted(named) == sorted(KEYS)


def test_links_between_pages_resolve(tracked: list[Path]) -> None:
    broken = [
        f"{page.name}: {target}"
        for page in tracked
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_page_of_errors_is_current() -> None:
    assert ERRORS.read_text(encoding="utf-8") == error_page(), "run `make docs`"


def test_every_installed_runtime_package_is_listed_with_its_licence(root: Path) -> None:
    packages = runtime_packages()
    assert {"torch", "soxr", "systemd-python"} <= packages.keys()
    assert missing(packages, listed_packages((root / "THIRD_PARTY.md").read_text(encoding="utf-8"))) == {}


def test_a_package_without_a_line_is_found_missing() -> None:
    page = "| `torch` | BSD |\n| `nvidia-*`, `cuda-*` | proprietary |\n"
    assert missing({"torch": "p", "nvidia-nccl": "torch", "leftpad": "p"}, listed_packages(page)) == {"leftpad": "p"}


def test_every_direct_dependency_has_a_tested_version(root: Path) -> None:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.split(r"[<>=; ]", each)[0] for each in (*project["dependencies"], *project["optional-dependencies"]["dev"])}
    pinned = set(re.findall(r"^([\w-]+)==", (root / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert direct - pinned == set()


def test_no_tracked_file_is_large(tracked: list[Path]) -> None:
    largest = {".safetensors": LARGEST_WEIGHTS}
    assert [path.name for path in tracked if path.stat().st_size > largest.get(path.suffix, LARGEST_FILE)] == []


def test_no_tracked_file_names_a_path_of_some_machine(tracked: list[Path], root: Path) -> None:
    guilty = [
        f"{path.relative_to(root)}:{number}"
        for path in tracked
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert guilty == []


# -- the demo ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip of the sample drops: the same one whatever is spoken."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sample_drop.film(path)
    return path


@pytest.mark.parametrize("voice", ["en", "zh"])
def test_the_sample_drop_is_a_silent_clip_and_some_seconds_of_speech(
    tmp_path: Path, voice: str, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_drop, "film", lambda path: shutil.copyfile(film, path))
    folder = make_sample(tmp_path / "demo", voice=voice)
    video = _stream(folder / "videos" / "eileen-collins.mp4")
    assert (video["codec_type"], video["width"], video["height"]) == ("video", SIZE, SIZE)
    assert (video["r_frame_rate"], int(video["nb_frames"])) == (f"{FRAME_RATE}/1", FRAME_RATE * SECONDS)
    assert 5 < float(_stream(folder / "speech.wav")["duration"]) < 12


def _stream(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)["streams"]
    assert len(streams) == 1
    found: dict[str, Any] = streams[0]
    return found


@pytest.mark.parametrize(
    ("wanted", "taken", "name"),
    [
        ("demo", set(), "demo"),
        ("demo", {"demo", "demo-2"}, "demo-3"),
        ("第一课 最终版", set(), "第一课_最终版"),
        ("Lesson", {"lesson"}, "Lesson-2"),
        ("..", set(), "drop"),
    ],
)
def test_a_drop_of_the_demo_gets_a_free_and_plain_name(wanted: str, taken: set[str], name: str) -> None:
    assert free_name(wanted, taken) == name
