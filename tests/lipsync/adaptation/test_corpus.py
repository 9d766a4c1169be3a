"""The corpus: numbers of one format, without images and names, readable by its owner only."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.lipsync.adaptation.corpus import Corpus
from heygem_daemon.lipsync.adaptation.segments import LIP_POINTS, POINTS, SpeechSegment
from tests.lipsync.adaptation.conftest import syllables

CONTENT = {"audio", "t", "av_lag", "lm", "idx", "lips", "P", "raw", "iod", "person"}


def segment(seed: int = 0, seconds: float = 3.0) -> SpeechSegment:
    rng = np.random.default_rng(seed)
    opening = syllables(seconds, seed) * 0.2
    return SpeechSegment(
        audio=rng.integers(-3000, 3000, round(16000 * seconds)).astype(np.int16),
        times=np.arange(len(opening)) / 25 + 0.4,
        points=rng.normal(0, 0.3, (len(opening), 70, 3)).astype(np.float32),
        opening=opening.astype(np.float32),
        iod=80.0,
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "state" / "corpus")


def fill(corpus: Corpus, video: str, *, clips: int = 2, person: str = "") -> None:
    with corpus.locked():
        corpus.add(video, [segment(i) for i in range(clips)], person=person or video, lag=0.04)


def test_a_clip_is_read_as_it_was_written(corpus: Corpus) -> None:
    fill(corpus, "0123456789ab", clips=1, person="ba9876543210")
    (clip,), made = corpus.clips(), segment()
    assert (clip.name, clip.person, clip.lag) == ("0123456789ab-0000", "ba9876543210", 0.04)
    assert np.array_equal(np.rint(clip.audio * 32768), made.audio)
    assert np.allclose(clip.times, made.times, atol=1e-6)
    assert np.allclose(clip.opening, made.opening)
    assert np.allclose(clip.lips, made.points[:, :40], atol=1e-3)
    again = made.clip(name=clip.name, person=clip.person, lag=clip.lag)
    assert np.allclose(clip.width, again.width, atol=1e-6)


def test_the_format_is_that_of_published_clips(corpus: Corpus, avdata: Path) -> None:
    fill(corpus, "0123456789ab", clips=1)
    with np.load(next(corpus.root.glob("*.npz"))) as own, np.load(avdata / "softcatala.npz") as theirs:
        assert set(own.files) == set(theirs.files) == CONTENT
        assert np.array_equal(own["idx"], theirs["idx"])
        for name in CONTENT - {"person"}:
            assert (name, own[name].dtype, own[name].shape[1:]) == (name, theirs[name].dtype, theirs[name].shape[1:])


def test_a_file_of_the_corpus_holds_numbers_and_nothing_else(corpus: Corpus, tmp_path: Path) -> None:
    video = tmp_path / "Presenter Jane Doe.mp4"
    video.write_bytes(b"images")
    with corpus.locked():
        name = corpus.video_id(video)
    fill(corpus, name)
    for path in corpus.root.glob("*.npz"):
        assert path.stat().st_mode & 0o077 == 0
        with zipfile.ZipFile(path) as archive:
            assert {member.removesuffix(".npy") for member in archive.namelist()} == CONTENT
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            parts = {member: archive.read(member) for member in archive.namelist()}
        person = np.load(io.BytesIO(parts["person.npy"]))
        assert str(person) == name
        arrays = [np.load(io.BytesIO(content)) for member, content in parts.items() if member != "person.npy"]
        assert {array.dtype.kind for array in arrays} <= {"i", "f"}
        assert max(array[0].size for array in arrays if array.ndim) == 70 * 3  # far too few per frame for an image
        everything = b"".join(parts.values()) + path.name.encode()
        for secret in (b"Jane", b"Doe", b".mp4", str(tmp_path).encode(), b"images"):
            assert secret not in everything
    assert corpus.root.stat().st_mode & 0o777 == 0o700


def test_the_same_video_has_the_same_id_whatever_its_name_and_another_one_in_another_corpus(corpus: Corpus, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mov"):
        (tmp_path / name).write_bytes(b"same")
    other = Corpus(tmp_path / "other")
    with corpus.locked(), other.locked():
        assert (
            corpus.video_id(tmp_path / "a.mp4") == corpus.video_id(tmp_path / "b.mov") == Corpus(corpus.root).video_id(tmp_path / "a.mp4")
        )
        assert corpus.video_id(tmp_path / "a.mp4") != other.video_id(tmp_path / "a.mp4")


def test_a_video_added_again_takes_the_place_of_its_earlier_segments(corpus: Corpus) -> None:
    fill(corpus, "0123456789ab", clips=3)
    fill(corpus, "0123456789ab", clips=2, person="cccccccccccc")
    (entry,) = corpus.entries()
    assert (entry.video, entry.person, entry.clips) == ("0123456789ab", "cccccccccccc", 2)
    assert entry.seconds == pytest.approx(2 * 2.96, abs=0.01)


@pytest.mark.parametrize(
    ("name", "left"), [("aaaaaaaaaaaa", ["bbbbbbbbbbbb", "cccccccccccc"]), ("dddddddddddd", ["aaaaaaaaaaaa"]), ("all", [])]
)
def test_a_video_a_person_or_everything_can_be_forgotten(corpus: Corpus, name: str, left: list[str]) -> None:
    fill(corpus, "aaaaaaaaaaaa")
    for video in ("bbbbbbbbbbbb", "cccccccccccc"):
        fill(corpus, video, person="dddddddddddd")
    corpus.forget(name)
    assert [entry.video for entry in corpus.entries()] == left
    with pytest.raises(HeygemError, match="eeee"):
        corpus.forget("eeee")


def test_the_lips_of_a_clip_are_all_forty_points_of_their_edges() -> None:
    assert (len(set(POINTS)), len(set(LIP_POINTS))) == (70, 40)
