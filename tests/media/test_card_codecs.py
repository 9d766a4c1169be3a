"""A card decodes only what it decodes as the CPU does, and the CPU goes on where it fails. No card is needed: none is there."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from heygem_daemon.media import card_codecs, commands
from heygem_daemon.media.card_codecs import CardReader, HardwareCodecs, encoder_for, open_decoder, use_card_codecs
from heygem_daemon.media.probe import check_video
from heygem_daemon.media.run import FfmpegReader, capture
from heygem_daemon.media.tool_ends import Completed
from heygem_daemon.media.types import MediaInfo
from heygem_daemon.media.writer import ORDINARY
from tests.media.conftest import MakeFile

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", 2, "-pix_fmt", "yuv420p")
FRAMES = 50


@pytest.fixture
def info(clip: MakeFile) -> MediaInfo:
    return check_video(clip("b_frames.mp4", *X264))


@pytest.fixture(autouse=True)
def no_card_afterwards() -> Iterator[None]:
    yield
    use_card_codecs("cpu", "auto")


def frame_bytes(info: MediaInfo) -> int:
    assert info.video is not None
    return info.video.frame_bytes


def on_cpu(info: MediaInfo, start: int = 0) -> bytes:
    return capture(commands.decode_frames(info, start=start), seconds=30).stdout


def read_all(decoder: FfmpegReader, size: int) -> bytes:
    """Return all frames of a decoder."""
    found = []
    with decoder:
        while True:
            frame = np.empty(size, np.uint8)
            if decoder.read_into(frame.data) < size:
                break
            found.append(frame.tobytes())
        assert decoder.wait().code == 0
    return b"".join(found)


def after(command: Sequence[str], script: str) -> tuple[str, ...]:
    """Return a command that runs `script` after another one."""
    return ("sh", "-c", f'"$@"; {script}', "sh", *command)


def test_without_a_card_chosen_the_cpu_decodes(info: MediaInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_codecs, "LEAST_FRAMES", 0)
    for device, choice in (("cpu", "all"), ("cuda:1", "off")):
        use_card_codecs(device, choice)  # type: ignore[arg-type]
        decoder = open_decoder(info, start=0, stop=None, seek=True)
        assert type(decoder) is FfmpegReader
        assert read_all(decoder, frame_bytes(info)) == on_cpu(info)


def test_a_card_that_is_not_there_is_found_out_once(info: MediaInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_codecs, "LEAST_FRAMES", 0)
    trials: list[Sequence[str]] = []

    def counted(command: Sequence[str], *, seconds: float) -> Completed:
        trials.append(command)
        return capture(command, seconds=seconds)

    monkeypatch.setattr(card_codecs, "capture", counted)
    use_card_codecs("cuda", "auto")
    for _ in range(2):
        decoder = open_decoder(info, start=0, stop=None, seek=True)
        assert type(decoder) is FfmpegReader
        assert read_all(decoder, frame_bytes(info)) == on_cpu(info)
    assert ["-hwaccel" in command for command in trials] == [False, True]


@pytest.mark.parametrize(("changed", "is_used"), [(False, True), (True, False)])
def test_a_card_is_used_for_frames_that_are_equal_bit_by_bit(
    changed: bool, is_used: bool, info: MediaInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretend(command: Sequence[str], **_: object) -> Completed:
        on_card = "-hwaccel" in command
        return Completed(code=0, stdout=b"frames" + b"!" * (on_card and changed), stderr="")

    monkeypatch.setattr(card_codecs, "LEAST_FRAMES", 0)
    monkeypatch.setattr(card_codecs, "capture", pretend)
    use_card_codecs("cuda:2", "auto")
    decoder = open_decoder(info, start=0, stop=None, seek=True)
    assert isinstance(decoder, CardReader) is is_used
    assert read_all(decoder, frame_bytes(info)) == on_cpu(info)  # there is none: the CPU takes over at the first frame
    assert type(open_decoder(info, start=0, stop=None, seek=True)) is FfmpegReader  # and does not ask again
    assert type(open_decoder(info, start=0, stop=None, seek=True)) is FfmpegReader


@pytest.mark.parametrize("change", [{"codec": "mpeg4"}, {"pixel_format": "yuv420p10le"}, {"changes_shape": True}, {"is_still": True}])
def test_only_what_is_defined_to_the_bit_is_tried(change: dict[str, object], info: MediaInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_codecs, "LEAST_FRAMES", 0)
    monkeypatch.setattr(card_codecs, "_decodes_equally", lambda *_: True)
    use_card_codecs("cuda", "auto")
    assert info.video is not None
    with open_decoder(info, start=0, stop=1, seek=True) as decoder:
        assert isinstance(decoder, CardReader)
    with open_decoder(replace(info, video=replace(info.video, **change)), start=0, stop=1, seek=True) as decoder:  # type: ignore[arg-type]
        assert type(decoder) is FfmpegReader


def test_a_few_frames_are_not_worth_a_card(info: MediaInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_codecs, "_decodes_equally", lambda *_: True)
    use_card_codecs("cuda", "auto")
    with open_decoder(info, start=0, stop=card_codecs.LEAST_FRAMES - 1, seek=True) as decoder:
        assert type(decoder) is FfmpegReader
    with open_decoder(info, start=0, stop=card_codecs.LEAST_FRAMES, seek=True) as decoder:
        assert isinstance(decoder, CardReader)


@pytest.mark.family(3)
@pytest.mark.parametrize("script", ["exit 1", "echo broken >&2; exit 0", "head -c 999 /dev/zero", "sleep 60"])
@pytest.mark.parametrize("start", [0, 9])
def test_the_cpu_goes_on_with_the_frame_at_which_a_card_fails(script: str, start: int, info: MediaInfo) -> None:
    failing, failures = after(commands.decode_frames(info, start=start, stop=start + 7), script), []
    decoder = CardReader(
        failing,
        lambda first: commands.decode_frames(info, start=first),
        start=start,
        on_failure=lambda: failures.append(True),
        stall_seconds=1.0,
    )
    assert read_all(decoder, frame_bytes(info)) == on_cpu(info, start)
    assert failures == [True]


def test_a_card_that_reaches_the_end_needs_nobody(info: MediaInfo) -> None:
    decoder = CardReader(commands.decode_frames(info), lambda _: ("false",), start=0)
    assert read_all(decoder, frame_bytes(info)) == on_cpu(info)


def test_frames_as_a_card_gives_them_pass_the_filters_unchanged(info: MediaInfo) -> None:
    command = list(commands.decode_frames(info))
    graph = command.index("-filter_complex") + 1
    assert command[graph].startswith("[0:0]scale=")
    command[graph] = command[graph].replace("[0:0]scale=", "[0:0]format=nv12,scale=", 1)
    done = capture(command, seconds=30)
    assert done.stdout == on_cpu(info)
    assert len(done.stdout) == FRAMES * frame_bytes(info)


def test_decoding_on_a_card_is_an_option_of_the_input() -> None:
    source = MediaInfo(
        path=Path("a.mp4"), demuxer="mov", size=1, streams=1, video=replace(ORDINARY, coded_width=64, coded_height=64), audio=None
    )
    command = commands.decode_frames(source, card=1)
    plain = commands.decode_frames(source)
    place = command.index("-hwaccel")
    assert command[place : place + 4] == ("-hwaccel", "cuda", "-hwaccel_device", "1")
    assert command[:place] + command[place + 4 :] == plain
    assert place < command.index("-i")


@pytest.mark.parametrize(("device", "choice", "tried"), [("cuda", "all", 1), ("cuda", "auto", 0), ("cpu", "all", 0)])
def test_results_are_encoded_on_a_card_only_where_that_was_chosen(
    device: str, choice: HardwareCodecs, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = []

    def pretend(command: Sequence[str], **_: object) -> Completed:
        trials.append(command)
        return Completed(code=0, stdout=b"", stderr="")

    monkeypatch.setattr(card_codecs, "capture", pretend)
    use_card_codecs(device, choice)
    names = [encoder_for(ORDINARY, quality=16) for _ in range(2)]
    assert names == [commands.NVENC if tried else commands.X264] * 2
    assert len(trials) == tried


def test_a_card_that_cannot_encode_leaves_it_to_x264() -> None:
    use_card_codecs("cuda", "all")
    assert encoder_for(replace(ORDINARY, frame_rate=Fraction(50)), quality=16) == commands.X264


def test_nvenc_gets_the_quantiser_and_neither_crf_nor_the_preset_of_x264() -> None:
    command = commands.try_encoder(ORDINARY, quality=18, preset="veryfast", encoder=commands.NVENC)
    assert command[command.index("-qp") + 1] == "18"
    assert command[command.index("-rc") + 1] == "constqp"
    assert command[command.index("-preset") + 1] == commands.NVENC_PRESET
    assert "-crf" not in command
