"""The configuration: one source, rising precedence, and an error for every typing mistake."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from heygem_daemon.settings import ConfigurationError, Settings, load, setting_paths

EXAMPLE = Path(__file__).parent.parent / "config" / "heygem.toml"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEYGEM_CONFIG", raising=False)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def uncommented_example() -> dict[str, Any]:
    text = re.sub(r"^#(\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return tomllib.loads(text)


def test_the_example_as_shipped_changes_nothing() -> None:
    assert load(EXAMPLE).model_dump() == load(None).model_dump()


def test_the_example_names_every_setting_with_its_default() -> None:
    example, defaults = uncommented_example(), Settings()
    machine_dependent = {("state",), ("cache",), ("weights",), ("corpus",), ("inboxes",), ("web", "state")}
    for path in setting_paths():
        shown: Any = example
        actual: Any = defaults
        for name in path:
            assert name in shown, f"config/heygem.toml lacks {'.'.join(path)}"
            shown, actual = shown[name], getattr(actual, name)
        if path not in machine_dependent:
            plain = list(actual) if isinstance(actual, tuple) else str(actual) if isinstance(actual, Path) else actual
            assert shown == plain, path


def test_the_example_names_nothing_else(tmp_path: Path) -> None:
    text = re.sub(r"^#(\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert load(write(tmp_path / "c.toml", text)).engine.name == "rewrite"


def test_file_environment_and_command_line_rise_in_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "c.toml", 'outputs = "/file"\n[engine]\ndevice = "cuda"\nfit = "video"\nquality = 20\n')
    assert load(path).engine.device == "cuda"
    monkeypatch.setenv("HEYGEM_ENGINE__DEVICE", "cuda:1")
    assert load(path).engine.device == "cuda:1"
    settings = load(path, {"outputs": "/given", "engine": {"device": "cpu"}})
    assert (str(settings.outputs), settings.engine.device, settings.engine.fit, settings.engine.quality) == ("/given", "cpu", "video", 20)


def test_inboxes_may_be_plain_paths_or_tables(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", 'inboxes = ["/a", { path = "/b", priority = 7 }]\n')
    assert [(str(inbox.path), inbox.priority) for inbox in load(path).inboxes] == [("/a", 0), ("/b", 7)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('outpts = "/x"', "unknown key outpts; did you mean outputs?"),
        ('[engine]\ndevise = "cpu"', "unknown key engine.devise; did you mean device?"),
        ("[qqq]\nx = 1", "known keys: cache, corpus, disk"),
        ('[engine]\nfit = "longest"', "engine.fit"),
        ("[disk]\nreserve_bytes = -1", "disk.reserve_bytes"),
        ("inboxes = []", "inboxes"),
        ("not toml at all", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load(write(tmp_path / "c.toml", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_an_unknown_environment_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEM_ENGINE__DEVISE", "cpu")
    with pytest.raises(ConfigurationError, match="did you mean HEYGEM_ENGINE__DEVICE"):
        load()


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path / "c.toml", "a = 1\nb = 2\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_the_configuration_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEM_CONFIG", str(write(tmp_path / "c.toml", 'outputs = "/named"')))
    assert str(load().outputs) == "/named"


def test_a_wait_of_no_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="backoff_seconds"):
        load(None, {"retry": {"backoff_seconds": (0,)}})
