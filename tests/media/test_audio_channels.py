"""What the driver hears of the channels of a recording, and which channels its result has: families of mixes and layouts."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heygem_daemon.core.errors import InputError
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.core.warning_codes import WarningCode
from heygem_daemon.media import channel_layouts
from heygem_daemon.media.frame import Frame, YuvSpace
from heygem_daemon.media.probe import check_recording
from heygem_daemon.media.speech import decoded_speech, measure_speech
from heygem_daemon.media.types import AudioStream, MediaInfo, VideoStream
from heygem_daemon.media.writer import VideoWriter
from tests.media.audio_signals import Signal, likeness, noise, voice, write_audio
from tests.media.conftest import Decode

SECONDS = 4
COUNT = SECONDS * 48000
ANN, BEN = voice(1, SECONDS), voice(2, SECONDS)
SILENCE = np.zeros(COUNT)
TIME = np.arange(COUNT) / 48000
MUSIC: Signal = 0.1 * np.sin(2 * np.pi * np.outer((220, 440, 660), TIME)).sum(axis=0) * np.exp(-2 * (TIME % 0.5))

Heard = tuple[MediaInfo, npt.NDArray[np.float32]]


def later(signal: Signal, samples: int) -> Signal:
    return np.concatenate([np.zeros(samples), signal[: COUNT - samples]])


def inverted_from(signal: Signal, start: float, stop: float) -> Signal:
    return np.where((start <= TIME) & (stop > TIME), -signal, signal)


def hear(path: Path, folder: Path, **options: Any) -> Heard:
    with decoded_speech(check_recording(path), folder, options=RenderOptions(**options)) as speech:
        return speech.info, np.concatenate(list(speech.blocks()))


def chosen(info: MediaInfo) -> AudioStream:
    assert info.audio is not None
    return info.audio


# -- what the driver hears ----------------------------------------------------------------------------------------------


CANCELLING: dict[str, tuple[Signal, ...]] = {
    "inverted": (ANN, -ANN),
    "inverted and softer": (ANN, -0.7 * ANN),
    "nearly inverted": (ANN, -0.98 * ANN + noise(5, -50, COUNT)),
    "inverted, one sample late": (ANN, -later(ANN, 1)),
    "inverted, five samples late": (ANN, -later(ANN, 5)),
    "inverted for a second": (ANN, inverted_from(ANN, 2, 3)),
    "inverted but for a second": (ANN, -inverted_from(ANN, 2, 3)),
    "inverted voice, music in phase": (MUSIC * 0.4 + ANN, MUSIC * 0.4 - ANN),
    "inverted with hiss": (ANN + noise(6, -45, COUNT), -ANN + noise(7, -45, COUNT)),
}


@pytest.mark.family(3)
@pytest.mark.parametrize("name", CANCELLING)
def test_a_voice_that_cancels_in_the_mix_is_heard(tmp_path: Path, name: str) -> None:
    info, heard = hear(write_audio(tmp_path / "a.wav", *CANCELLING[name]), tmp_path)
    assert likeness(heard, ANN) > 0.93
    assert info.warnings[WarningCode.CHANNELS_CANCEL] in {"The mouth follows the left channel.", "The mouth follows the right channel."}


def test_of_channels_that_cancel_the_louder_one_is_heard(tmp_path: Path) -> None:
    info, heard = hear(write_audio(tmp_path / "a.wav", 0.3 * ANN, -ANN), tmp_path)
    assert likeness(heard, ANN) > 0.99
    assert chosen(info).spoken in {(), (0.0, 1.0)}
    info, heard = hear(write_audio(tmp_path / "b.wav", 0.6 * ANN, -ANN), tmp_path)
    assert chosen(info).spoken == (0.0, 1.0)


ORDINARY: dict[str, tuple[Signal, ...]] = {
    "the same": (ANN, ANN),
    "softer on one side": (ANN, 0.5 * ANN),
    "spaced microphones": (ANN + noise(5, -55, COUNT), later(ANN, 10) + noise(6, -55, COUNT)),
    "voice over wide music": (0.5 * ANN + MUSIC, 0.5 * ANN + later(MUSIC, 9000)),
    "two rooms": (ANN, BEN),
    "both at once": (0.7 * ANN + 0.3 * BEN, 0.3 * ANN + 0.7 * BEN),
}


@pytest.mark.family(4)
@pytest.mark.parametrize(("name", "extension"), [*((name, ".wav") for name in ORDINARY), ("both at once", ".mp3")])
def test_ordinary_stereo_is_mixed_as_ever(tmp_path: Path, decoded: Decode, name: str, extension: str) -> None:
    path = write_audio(tmp_path / f"a{extension}", *ORDINARY[name])
    info, heard = hear(path, tmp_path)
    mixed = decoded(path, "-ac", 1, "-ar", 16000, "-f", "s16le").view(np.int16)
    assert np.array_equal(np.rint(heard * 32768).astype(np.int16), mixed)
    assert info.warnings == {}


@pytest.mark.family(3)
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_the_mix_is_the_same_at_any_rate(tmp_path: Path, decoded: Decode, rate: int) -> None:
    path = write_audio(tmp_path / "a.wav", ANN, later(BEN, 7), options=("-ar", rate))
    mixed = decoded(path, "-ac", 1, "-ar", 16000, "-f", "s16le").view(np.int16)
    assert np.array_equal(np.rint(hear(path, tmp_path)[1] * 32768).astype(np.int16), mixed)


@pytest.mark.family(2)
@pytest.mark.parametrize("side", [0, 1])
def test_a_whisper_on_one_side_is_no_silence(tmp_path: Path, side: int) -> None:
    whisper = ANN * 10 ** (-52 / 20)
    pair = (whisper, SILENCE) if side == 0 else (SILENCE, whisper)
    info, heard = hear(write_audio(tmp_path / "a.wav", *pair, options=("-c:a", "pcm_s24le")), tmp_path)
    assert np.abs(heard).max() == pytest.approx(np.abs(whisper).max(), rel=0.1)
    assert info.warnings == {}


# -- more than two channels ---------------------------------------------------------------------------------------------


@pytest.mark.family(4)
@pytest.mark.parametrize("count", [3, 4, 6, 9, 10, 12, 16, 64])
def test_channels_without_positions_are_averaged(tmp_path: Path, count: int) -> None:
    """The voice is on the last channel, between which and the others nothing tells."""
    path = write_audio(tmp_path / "a.wav", *[noise(k, -50, COUNT) for k in range(count - 1)], ANN)
    info, heard = hear(path, tmp_path)
    assert likeness(heard, ANN) > 0.95
    assert len(heard) == SECONDS * 16000
    assert info.warnings == {}


@pytest.mark.family(2)
@pytest.mark.parametrize("count", [6, 12])
def test_one_microphone_of_many_keeps_its_level(tmp_path: Path, count: int) -> None:
    info, heard = hear(write_audio(tmp_path / "a.wav", *[SILENCE] * (count - 1), ANN), tmp_path)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.05)
    assert chosen(info).spoken == (*[0.0] * (count - 1), 1.0)


@pytest.mark.family(2)
@pytest.mark.parametrize("count", [4, 9])
def test_the_mean_of_channels_that_cancel_is_not_used(tmp_path: Path, count: int) -> None:
    """Ambisonics from behind: the omnidirectional channel and the one to the front have opposite signs."""
    info, heard = hear(write_audio(tmp_path / "a.wav", ANN, *[SILENCE] * (count - 2), -ANN), tmp_path)
    assert likeness(heard, ANN) > 0.99
    assert info.warnings[WarningCode.CHANNELS_CANCEL] == f"The mouth follows channel 1 of {count}."


def write_surround(path: Path, *signals: Signal, layout: str = "5.1") -> Path:
    """Write channels with positions: float WAV through ffmpeg's channelmap."""
    order = "|".join(map(str, range(len(signals))))
    return write_audio(path, *signals, options=("-af", f"channelmap={order}:{layout}"))


@pytest.mark.family(3)
@pytest.mark.parametrize(
    ("name", "signals", "layout"),
    [
        ("centre under music", (MUSIC, later(MUSIC, 9000), 0.5 * ANN, SILENCE, SILENCE, SILENCE), "5.1"),
        ("centre under loud music", (2 * MUSIC, 2 * later(MUSIC, 9000), ANN, SILENCE, MUSIC, MUSIC), "5.1"),
        ("front pair", (ANN, ANN, SILENCE, SILENCE, SILENCE, SILENCE), "5.1"),
        ("front pair, room on the centre", (ANN, ANN, noise(4, -45, COUNT), SILENCE, SILENCE, SILENCE), "5.1"),
        ("everywhere", (ANN,) * 8, "7.1"),
        ("cancelling fronts", (ANN, -ANN, SILENCE, SILENCE, SILENCE, SILENCE), "5.1"),
        ("centre against fronts", (-ANN, -ANN, 1.41 * ANN, SILENCE, SILENCE, SILENCE), "5.1"),
        ("back", (SILENCE, SILENCE, ANN, ANN), "quad"),
        ("centre of three", (MUSIC, MUSIC, ANN), "3.0"),
    ],
)
def test_the_speech_of_surround_audio_is_heard(tmp_path: Path, name: str, signals: tuple[Signal, ...], layout: str) -> None:
    _, heard = hear(write_surround(tmp_path / "a.wav", *signals, layout=layout), tmp_path)
    assert likeness(heard, ANN) > 0.94


@pytest.mark.family(3)
@pytest.mark.parametrize("layout", ["BL+BR", "FL+LFE", "FLC+FRC"])
def test_a_pair_that_ffmpeg_cannot_mix_is_left_and_right(tmp_path: Path, decoded: Decode, layout: str) -> None:
    recording = write_surround(tmp_path / "a.wav", ANN, BEN, layout=layout)
    _, heard = hear(recording, tmp_path)
    assert likeness(heard, ANN + BEN) > 0.99
    write_result(tmp_path / "o.mp4", recording, tmp_path)
    left, right = result_channels(tmp_path / "o.mp4", decoded)
    assert min(likeness(left, ANN), likeness(right, BEN)) > 0.99


@pytest.mark.family(2)
@pytest.mark.parametrize("layout", ["LFE+BL+BR", "FL+FR+FC+LFE+BL+BR+SL+SR+TC+TFL+TFC+TFR"])
def test_more_channels_that_ffmpeg_cannot_mix_are_averaged(tmp_path: Path, decoded: Decode, layout: str) -> None:
    recording = write_surround(tmp_path / "a.wav", ANN, *[0.5 * BEN] * layout.count("+"), layout=layout)
    _, heard = hear(recording, tmp_path)
    mean = ANN + 0.5 * BEN * layout.count("+")
    assert likeness(heard, mean) > 0.99
    write_result(tmp_path / "o.mp4", recording, tmp_path)
    assert min(likeness(side, mean) for side in result_channels(tmp_path / "o.mp4", decoded)) > 0.99


# -- options ------------------------------------------------------------------------------------------------------------


@pytest.mark.family(2)
@pytest.mark.parametrize(
    ("channel", "signal"), [("left", ANN), ("right", BEN), ("1", ANN), ("2", BEN), ("mix", ANN + BEN), (None, ANN + BEN)]
)
def test_the_channel_that_is_named_is_heard(tmp_path: Path, channel: str | None, signal: Signal) -> None:
    _, heard = hear(write_audio(tmp_path / "a.wav", ANN, BEN), tmp_path, channel=channel)
    assert likeness(heard, signal) > 0.99


def test_a_channel_that_is_named_must_be_there_and_be_audible(tmp_path: Path) -> None:
    one_sided = check_recording(write_audio(tmp_path / "a.wav", ANN, SILENCE))
    cancelling = check_recording(write_audio(tmp_path / "b.wav", ANN, -ANN))
    for info, channel, code in (
        (one_sided, "3", "no_such_channel"),
        (one_sided, "right", "audio_choice_silent"),
        (cancelling, "mix", "audio_choice_silent"),
    ):
        with pytest.raises(InputError) as caught:
            measure_speech(info, options=RenderOptions(channel=channel))
        assert caught.value.code == code


def turns(lengths: tuple[float, ...]) -> npt.NDArray[np.bool_]:
    """Return bool [COUNT]: whether the first of two speaks, who take turns of these lengths in s."""
    edges = np.cumsum(lengths)
    return np.asarray(np.searchsorted(edges, TIME, side="right") % 2 == 0)


@pytest.mark.family(4)
@pytest.mark.parametrize(
    ("name", "bleed", "lengths", "warned"),
    [
        ("headsets", 0.0, (1.5, 1, 1, 0.5), True),
        ("lapel microphones", 0.15, (1.5, 1, 1, 0.5), True),
        ("one after the other", 0.05, (2, 2), True),
        ("a question and an answer", 0.05, (1, 3), True),
        ("stereo room", 0.5, (1.5, 1, 1, 0.5), False),
        ("one person", 0.1, (4,), False),
    ],
)
def test_voices_on_channels_of_their_own_are_reported(
    tmp_path: Path, name: str, bleed: float, lengths: tuple[float, ...], warned: bool
) -> None:
    first = turns(lengths)
    left, right = ANN * first, BEN * ~first
    path = write_audio(tmp_path / "a.wav", left + bleed * right + noise(1, -70, COUNT), right + bleed * left + noise(2, -70, COUNT))
    info, heard = hear(path, tmp_path)
    assert (WarningCode.VOICES_ON_CHANNELS in info.warnings) == warned
    assert likeness(heard, left + right) > 0.97
    assert WarningCode.VOICES_ON_CHANNELS not in hear(path, tmp_path, channel="left")[0].warnings


@pytest.mark.parametrize("name", ["voice over wide music", "two rooms", "both at once"])
def test_people_and_music_on_both_sides_at_once_are_not_reported(tmp_path: Path, name: str) -> None:
    assert hear(write_audio(tmp_path / "a.wav", *ORDINARY[name]), tmp_path)[0].warnings == {}


# -- the audio of the result --------------------------------------------------------------------------------------------


def write_result(path: Path, recording: Path, folder: Path, **options: Any) -> MediaInfo:
    """Write a result of 2 frames per second with the recording; return the recording with its warnings."""
    shape = VideoStream(width=64, height=64, frame_rate=Fraction(2), frames=8, seconds=4, codec="h264", pixel_format="yuv420p")
    grey = np.full(64 * 96, 128, np.uint8)
    space = YuvSpace(matrix="bt709", full_range=False)
    with decoded_speech(check_recording(recording), folder, options=RenderOptions(**options)) as speech:
        kept = {"channels": options["channels"]} if "channels" in options else {}
        with VideoWriter(path, like=shape, recording=speech.info, frames=8, fit="audio", quality=40, **kept) as writer:
            for index in range(8):
                writer.write(Frame.from_i420(grey, width=64, height=64, index=index, space=space))
        return speech.info


def result_channels(path: Path, decoded: Decode) -> list[npt.NDArray[np.float32]]:
    """Return the channels of the audio of a file at 16 kHz."""
    audio = check_recording(path).audio
    assert audio is not None
    samples = decoded(path, "-map", "0:a", "-ar", 16000, "-f", "f32le").view(np.float32)
    return list(samples.reshape(-1, audio.channels).T)


@pytest.mark.family(4)
@pytest.mark.parametrize(("pair", "channel"), [((ANN, -ANN), None), ((ANN, BEN), None), ((ANN, BEN), "left"), ((ANN, SILENCE), None)])
def test_the_result_of_stereo_keeps_both_channels(
    tmp_path: Path, decoded: Decode, pair: tuple[Signal, Signal], channel: str | None
) -> None:
    write_result(tmp_path / "o.mp4", write_audio(tmp_path / "a.wav", *pair), tmp_path, channel=channel)
    left, right = result_channels(tmp_path / "o.mp4", decoded)
    assert likeness(left, pair[0]) > 0.99
    assert likeness(right, pair[1]) > 0.99 if pair[1].any() else np.abs(right).max() < 1e-3


@pytest.mark.family(4)
@pytest.mark.parametrize("count", [3, 6, 10, 16])
def test_the_result_of_channels_without_positions_has_their_mean_on_both_sides(tmp_path: Path, decoded: Decode, count: int) -> None:
    recording = write_audio(tmp_path / "a.wav", *[BEN if k % 2 else ANN for k in range(count)])
    write_result(tmp_path / "o.mp4", recording, tmp_path)
    left, right = result_channels(tmp_path / "o.mp4", decoded)
    share = (count // 2) / count
    assert min(likeness(side, (1 - share) * ANN + share * BEN) for side in (left, right)) > 0.99


def test_the_result_of_surround_audio_is_the_usual_stereo(tmp_path: Path, decoded: Decode) -> None:
    recording = write_surround(tmp_path / "a.wav", ANN, BEN, 0.5 * MUSIC, SILENCE, SILENCE, SILENCE)
    write_result(tmp_path / "o.mp4", recording, tmp_path)
    left, right = result_channels(tmp_path / "o.mp4", decoded)
    assert min(likeness(left, ANN + 0.35 * MUSIC), likeness(right, BEN + 0.35 * MUSIC)) > 0.98


def test_the_result_of_surround_audio_whose_mix_cancels_is_audible(tmp_path: Path, decoded: Decode) -> None:
    recording = write_surround(tmp_path / "a.wav", -ANN, -ANN, 1.41 * ANN, SILENCE, SILENCE, SILENCE)
    write_result(tmp_path / "o.mp4", recording, tmp_path)
    assert min(likeness(side, ANN) for side in result_channels(tmp_path / "o.mp4", decoded)) > 0.99


@pytest.mark.family(6)
@pytest.mark.parametrize("layout", sorted(channel_layouts.KEPT))
def test_channels_are_kept_in_their_places_where_aac_can(tmp_path: Path, decoded: Decode, layout: str) -> None:
    tones = [0.3 * np.sin(2 * np.pi * (50 + 20 * k) * TIME) for k in range(channel_layouts.channel_count(channel_layouts.KEPT[layout]))]
    info = write_result(tmp_path / "o.mp4", write_surround(tmp_path / "a.wav", *tones, layout=layout), tmp_path, channels="keep")
    assert chosen(info).layout == layout
    assert chosen(check_recording(tmp_path / "o.mp4")).layout == channel_layouts.KEPT[layout]
    assert all(likeness(heard, tone) > 0.95 for heard, tone in zip(result_channels(tmp_path / "o.mp4", decoded), tones, strict=True))
    assert info.warnings == {}


@pytest.mark.family(4)
@pytest.mark.parametrize("count", sorted(channel_layouts.KEPT_WITHOUT_POSITIONS))
def test_channels_without_positions_are_kept_in_their_order(tmp_path: Path, decoded: Decode, count: int) -> None:
    voices = [voice(k, SECONDS) for k in range(count)]
    info = write_result(tmp_path / "o.mp4", write_audio(tmp_path / "a.wav", *voices), tmp_path, channels="keep")
    assert WarningCode.CHANNELS_NOT_KEPT not in info.warnings
    heard = result_channels(tmp_path / "o.mp4", decoded)
    assert all(likeness(side, signal) > 0.98 for side, signal in zip(heard, voices, strict=True))


@pytest.mark.family(2)
@pytest.mark.parametrize("count", [8, 10])
def test_channels_that_aac_cannot_keep_become_stereo_with_a_warning(tmp_path: Path, decoded: Decode, count: int) -> None:
    info = write_result(tmp_path / "o.mp4", write_audio(tmp_path / "a.wav", *[ANN] * count), tmp_path, channels="keep")
    assert info.warnings == {WarningCode.CHANNELS_NOT_KEPT: f"It has {count} channels (without positions)."}
    assert min(likeness(side, ANN) for side in result_channels(tmp_path / "o.mp4", decoded)) > 0.99
