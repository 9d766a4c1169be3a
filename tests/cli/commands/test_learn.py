"""`heygem learn`."""

import subprocess
from pathlib import Path

import pytest

from heygem_daemon.lipsync.adaptation.clips import read_clips
from heygem_daemon.lipsync.adaptation.corpus import Corpus
from tests.cli.runner import Result, heygem

PEOPLE = ("grid_bbaf2n_360x288_25.mpg", "grid_lbbc2a_360x288_25.mpg", "grid_sbwe5n_360x288_25.mpg")


def learn(*arguments: str) -> Result:
    return heygem("learn", *arguments)


def test_an_empty_corpus_is_shown_and_nothing_can_be_forgotten_or_taken_back(tmp_path: Path) -> None:
    options = ("--corpus", str(tmp_path / "corpus"), "--weights", str(tmp_path))
    result = learn("--list", *options)
    assert (result.code, "0.0minutes,0people" in "".join(result.output.split())) == (0, True)
    assert not (tmp_path / "corpus").exists()
    result = learn("--forget", "0123456789ab", *options)
    assert (result.code, "Nothing named 0123456789ab" in result.output) == (1, True)
    result = learn("--rollback", *options)
    assert (result.code, "shipped weights are in force" in result.output) == (1, True)


def test_options_that_exclude_each_other_are_wrong_usage() -> None:
    assert learn("--list", "--rollback").code == 2
    assert learn("--same-person", "--person", "0123456789ab").code == 2


@pytest.fixture(scope="module")
def footage(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, one after the other: as they were filmed, each with the voice of the next one, and without audio."""
    folder = tmp_path_factory.mktemp("footage")
    inputs = [word for name in PEOPLE for word in ("-i", str(shared_media / name))]
    for name, voices in (("speaker", (0, 1, 2)), ("dubbed", (1, 2, 0))):
        pairs = "".join(f"[{video}:v][{voice}:a]" for video, voice in enumerate(voices))
        joined = ("-filter_complex", f"{pairs}concat=n=3:v=1:a=1[v][a]", "-map", "[v]", "-map", "[a]", "-preset", "ultrafast")
        subprocess.run(("ffmpeg", "-v", "error", *inputs, *joined, str(folder / f"{name}.mp4")), check=True, timeout=300)
    quiet = ("ffmpeg", "-v", "error", "-i", str(folder / "speaker.mp4"), "-an", "-c", "copy", str(folder / "silent.mp4"))
    subprocess.run(quiet, check=True, timeout=300)
    return folder


@pytest.mark.slow
def test_dubbed_and_silent_footage_is_refused_with_the_reason_and_real_speech_is_kept_once(
    footage: Path, weights: Path, tmp_path: Path
) -> None:
    places = ("--corpus", str(tmp_path / "corpus"), "--cache", str(tmp_path / "cache"), "--weights", str(weights))
    result = learn("--collect-only", str(footage), *places)
    assert result.code == 3, result.output
    assert "The audio of dubbed.mp4 does not match the mouth" in result.output
    assert "No speech was found in silent.mp4" in result.output
    (entry,) = Corpus(tmp_path / "corpus").entries()
    assert (entry.clips, entry.seconds > 6.0) == (3, True)
    assert entry.lag == pytest.approx(0.04, abs=0.03)
    assert {clip.person for clip in read_clips(tmp_path / "corpus")} == {entry.video}
    assert learn("--collect-only", str(footage / "speaker.mp4"), *places).code == 0
    assert Corpus(tmp_path / "corpus").entries() == [entry]
    assert learn("--forget", entry.person, *places).code == 0
    assert list((tmp_path / "corpus").glob("*.npz")) == []
