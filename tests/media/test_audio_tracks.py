"""Which audio track is spoken: a family of files with several tracks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.speech import decoded_speech, measure_speech
from tests.media.audio_signals import Signal, likeness, mux, noise, voice, write_audio

SECONDS = 2
COUNT = SECONDS * 48000
SIGNALS: dict[str, Signal] = {
    "ann": voice(1, SECONDS),
    "ben": voice(2, SECONDS),
    "silent": np.zeros(COUNT),
    "dither": noise(3, -65, COUNT),
}
SPOKEN = ("ann", "ben")
MakeTracks = Callable[..., Path]


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> MakeTracks:
    """Make a file with these tracks: tracks("a.mp4", "silent", "ann", default=(2,), titles=("", "Mic"))."""
    folder = tmp_path_factory.mktemp("tracks")

    def make(name: str, *kinds: str, default: tuple[int, ...] | None = None, titles: tuple[str, ...] = ()) -> Path:
        sources = [folder / f"{kind}.wav" for kind in kinds]
        for kind, source in zip(kinds, sources, strict=True):
            if not source.exists():
                write_audio(source, SIGNALS[kind])
        flags = () if default is None else [f"-disposition:a:{i}" for i in range(len(kinds))]
        marks = [word for i, flag in enumerate(flags) for word in (flag, "default" if i + 1 in (default or ()) else "0")]
        named = [word for i, title in enumerate(titles) for word in (f"-metadata:s:a:{i}", f"title={title}")]
        return mux(folder / name, *sources, options=(*marks, *named))

    return make


def spoken(path: Path, folder: Path, options: RenderOptions = RenderOptions()) -> tuple[int, str, str | None]:  # noqa: B008
    """Return the number of the chosen track, whose voice is decoded, and the detail of the warning."""
    with decoded_speech(check_recording(path), folder, options=options) as speech:
        heard = np.concatenate(list(speech.blocks()))
        assert speech.info.audio is not None
        number, warning = speech.info.audio.number, speech.info.warnings.get(WarningCode.AUDIO_TRACK_CHOSEN)
    return number, max(SPOKEN, key=lambda name: likeness(heard, SIGNALS[name])), warning


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("name", "kinds", "default", "number", "voice_of"),
    [
        ("silent first.mp4", ("silent", "ann"), None, 2, "ann"),
        ("silent first.mkv", ("silent", "ann"), None, 2, "ann"),
        ("silent first.mov", ("silent", "ann"), None, 2, "ann"),
        ("dither first.mkv", ("dither", "silent", "ben"), None, 3, "ben"),
        ("default silent.mkv", ("ann", "silent"), (2,), 1, "ann"),
        ("default second.mkv", ("ann", "ben"), (2,), 2, "ben"),
        ("default third.mkv", ("ann", "silent", "ben"), (3,), 3, "ben"),
        ("default first of ffmpeg.mp4", ("ann", "ben"), None, 1, "ann"),
        ("loud first.mp4", ("ann", "silent"), None, 1, "ann"),
        ("all marked, one audible.mkv", ("silent", "dither", "ben", "silent"), (1, 2, 3, 4), 3, "ben"),
        ("eighth.mkv", (*["silent"] * 7, "ann"), None, 8, "ann"),
    ],
)
def test_the_track_that_is_spoken(
    tracks: MakeTracks, tmp_path: Path, name: str, kinds: tuple[str, ...], default: tuple[int, ...] | None, number: int, voice_of: str
) -> None:
    assert spoken(tracks(name, *kinds, default=default), tmp_path) == (number, voice_of, None)


@pytest.mark.family(4)
@pytest.mark.parametrize(
    ("name", "kinds", "default", "titles", "detail"),
    [
        ("none marked.mkv", ("silent", "ben", "ann"), (), ("", "Mic", "Game"), "Track 2 of 3 (Mic) is spoken."),
        ("all marked.mkv", ("ann", "ben"), (1, 2), (), "Track 1 of 2 is spoken."),
        ("silent one marked.mkv", ("silent", "ann", "ben"), (1,), (), "Track 2 of 3 is spoken."),
        ("long title.mkv", ("ann", "ben"), (), ("x" * 90,), f"Track 1 of 2 ({'x' * 60}...) is spoken."),
    ],
)
def test_a_choice_among_audible_tracks_is_named(
    tracks: MakeTracks,
    tmp_path: Path,
    name: str,
    kinds: tuple[str, ...],
    default: tuple[int, ...],
    titles: tuple[str, ...],
    detail: str,
) -> None:
    path = tracks(name, *kinds, default=default, titles=titles)
    number, voice_of, warning = spoken(path, tmp_path)
    assert (kinds[number - 1], warning) == (voice_of, detail)


@pytest.mark.parametrize(("wanted", "voice_of"), [(1, "ann"), (3, "ben")])
def test_a_track_that_is_named_is_taken_without_a_warning(tracks: MakeTracks, tmp_path: Path, wanted: int, voice_of: str) -> None:
    path = tracks("named.mkv", "ann", "silent", "ben", default=())
    assert spoken(path, tmp_path, RenderOptions(track=wanted)) == (wanted, voice_of, None)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (RenderOptions(track=4), "no_such_track", "has 3 audio tracks: there is no track 4"),
        (RenderOptions(track=2), "audio_choice_silent", "track 2"),
        (RenderOptions(channel="right"), "no_such_channel", "has 1 channel: there is no channel right"),
    ],
)
def test_what_is_named_must_be_there(tracks: MakeTracks, options: RenderOptions, code: str, words: str) -> None:
    path = tracks("named.mkv", "ann", "silent", "ben", default=())
    with pytest.raises(InputError, match=words) as caught:
        measure_speech(check_recording(path), options=options)
    assert caught.value.code == code


@pytest.mark.family(2)
@pytest.mark.parametrize("name", ["silent.mp4", "silent.mkv"])
def test_a_recording_is_silent_when_all_of_its_tracks_are(tracks: MakeTracks, name: str) -> None:
    with pytest.raises(InputError) as caught:
        measure_speech(check_recording(tracks(name, "silent", "dither", "silent")))
    assert caught.value.code == "audio_silent"


def test_a_track_of_an_unknown_codec_is_passed_over(tracks: MakeTracks, tmp_path: Path) -> None:
    path = tracks("unknown.mkv", "ann", "ben", default=(1,))
    data = path.read_bytes()
    assert data.count(b"A_VORBIS") == 2
    path.write_bytes(data.replace(b"A_VORBIS", b"A_VXRBIS", 1))
    assert spoken(path, tmp_path) == (2, "ben", None)


@pytest.mark.slow  # test_what_is_named_must_be_there has the other errors of a choice
def test_an_unknown_codec_is_the_error_of_the_track_that_is_named(tracks: MakeTracks) -> None:
    path = tracks("unknown named.mkv", "ann", "ben")
    path.write_bytes(path.read_bytes().replace(b"A_VORBIS", b"A_VXRBIS", 1))
    with pytest.raises(InputError) as caught:
        measure_speech(check_recording(path), options=RenderOptions(track=1))
    assert caught.value.code == "audio_unreadable"


def test_an_audible_track_is_found_behind_many_silent_ones(tracks: MakeTracks, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = check_recording(tracks("many.mka", *["silent"] * 6, "ann"))
    assert measure_speech(recording).peak_db > -20
    monkeypatch.setattr("heygem_daemon.media.audio_tracks.EXAMINED_SECONDS", 5 * SECONDS)
    with pytest.raises(InputError) as caught:
        measure_speech(recording)
    assert caught.value.code == "audio_silent"
    assert measure_speech(recording, options=RenderOptions(track=7)).peak_db > -20
