"""One recording and one video in, one verified result out, with real ffmpeg, real models and a real face."""

import json
import subprocess
import time
import wave
from fractions import Fraction

import cv2
import numpy as np
import pytest

from heygem_daemon.core.errors import HeygemError
from heygem_daemon.core.render_options import RenderOptions
from heygem_daemon.lipsync.pipeline import RenderSession
from heygem_daemon.lipsync.render_request import RenderRequest
from heygem_daemon.media.probe import probe
from heygem_daemon.media.reader import VideoReader
from heygem_daemon.media.verify import verify_result
from tests.lipsync.driver_contract import RATE, talk
from training.espeak import espeak

SECONDS = Fraction(23, 10)


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def session(place, weights):
    return RenderSession(weights, place / "cache", device="cpu", threads=1)


@pytest.fixture(scope="module")
def recording(place):
    """The first SECONDS of a spoken sentence, not a sample more or less."""
    spoken, _ = espeak().speak("Good evening. My father says that they have a new map of the bay.", "en-us")
    return write_wav(place / "speech.wav", 0.5 * spoken[: round(SECONDS * RATE)])


@pytest.fixture(scope="module")
def clip(place, portrait_clip):
    """The portrait clip at 24000/1001 frames per second."""
    path = place / "presenter.mp4"
    command = (
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(portrait_clip),
        "-vf",
        "setpts=N*1001/24000/TB",
        "-r",
        "24000/1001",
        "-crf",
        "14",
        str(path),
    )
    subprocess.run(command, check=True, timeout=60)
    return path


def ask(folder, recording, video, *, explain=None, **options):
    folder.mkdir(exist_ok=True)
    chosen = RenderOptions(explain=explain is not None, **options)
    output, thumbnail = folder / "result.mp4", folder / "result.jpg"
    return RenderRequest(recording=recording, video=video, output=output, thumbnail=thumbnail, explain=explain, options=chosen)


@pytest.fixture(scope="module")
def made(place, session, recording, clip):
    """The request, the report and the progress of a first, uncached render."""
    request, steps = ask(place / "made", recording, clip, explain=place / "made" / "result.explain.png"), []
    report = session.render(request, lambda step: steps.append((time.monotonic(), step)))
    return request, report, steps


def test_the_result_is_as_long_as_the_recording_at_the_exact_rate_of_the_source(made):
    request, report, _ = made
    frames = round(SECONDS * Fraction(24000, 1001))
    assert (report.frames, report.frame_rate, report.seconds) == (frames, "24000/1001", float(SECONDS))
    size = (report.width, report.height)
    verify_result(request.output, frames=frames, frame_rate=Fraction(24000, 1001), seconds=float(SECONDS), size=size)


def test_the_mouth_does_what_was_asked_in_time(made):
    _, report, _ = made
    assert report.mouth_correlation > 0.8
    assert abs(report.sync_offset_ms) <= 40
    assert report.closure_rate is not None
    assert report.closure_rate > 0.6


def test_only_the_lower_face_differs_from_the_source(made):
    """Frame 5 of the result, after its lossy encode, against frame 5 of the source."""
    request, _, _ = made
    source, result = (next(VideoReader(probe(path)).frames(5, 6)).y.astype(float) for path in (request.video, request.output))
    top = np.abs(source - result)[: source.shape[0] // 4]
    assert 10 * np.log10(255**2 / (top**2).mean()) > 38


def test_the_report_says_what_was_used_and_what_it_took(made):
    _, report, _ = made
    assert (report.engine, report.driver, report.renderer, report.device) == ("rewrite", "phonetic", "atlas", "cpu")
    assert set(report.models) == {"face_detector", "face_mesh", "phonetic"}
    assert set(report.stage_seconds) == {"measure", "analyse", "script", "prepare", "render", "verify", "explain"}
    assert sum(report.stage_seconds.values()) <= report.elapsed_s + 0.1
    assert report.speed == pytest.approx(report.frames / (24000 / 1001) / report.elapsed_s, rel=0.05)
    assert report.faces_drawn + report.faces_passed == report.frames
    assert report.faces_drawn > 0.9 * report.frames
    assert not report.cached


def test_progress_passes_through_the_stages_in_order_and_completes_them(made):
    _, report, steps = made
    stages = list(dict.fromkeys(step.stage for _, step in steps))
    assert stages == [stage for stage in ("analyse", "harvest", "calibrate", "render", "verify") if stage in stages]
    assert {"analyse", "harvest", "render", "verify"} <= set(stages)
    last = {step.stage: step for _, step in steps}
    assert (last["render"].done, last["render"].total) == (report.frames, report.frames)
    assert len(steps) <= 3 * len(stages) + 5 * report.elapsed_s


def test_nothing_but_what_was_asked_for_is_written(made):
    request, report, _ = made
    assert sorted(path.name for path in request.output.parent.iterdir()) == ["result.explain.png", "result.jpg", "result.mp4"]
    assert cv2.imread(str(request.thumbnail)).shape[1] <= 1280
    assert cv2.imread(str(request.explain)).shape[1] == 2000
    assert report.explained


def test_the_second_time_the_presenter_is_known_and_fit_video_keeps_the_length_of_the_video(made, place, session, recording):
    request, first, _ = made
    again = ask(place / "again", recording, request.video, fit="video")
    report = session.render(again)
    assert report.cached
    assert (report.explained, sorted(path.name for path in again.output.parent.iterdir())) == (False, ["result.jpg", "result.mp4"])
    assert (
        report.stage_seconds["analyse"] + report.stage_seconds["prepare"] < first.stage_seconds["analyse"] + first.stage_seconds["prepare"]
    )
    frames = VideoReader(probe(request.video)).frame_count()
    assert report.frames == frames
    verify_result(again.output, frames=frames, frame_rate=Fraction(24000, 1001), seconds=report.seconds, size=(report.width, report.height))


def test_a_still_picture_speaks_too(place, session, portrait):
    recording = write_wav(place / "short.wav", talk(1.0))
    request = ask(place / "still", recording, portrait, fit="video")
    report = session.render(request)
    assert report.frames == round(Fraction(report.frame_rate))
    assert report.mouth_correlation is None or report.mouth_correlation > 0.5
    frames = list(VideoReader(probe(request.output)).frames())
    assert np.abs(frames[0].y.astype(int) - frames[len(frames) // 2].y).max() > 20


@pytest.fixture(scope="module")
def faceless(place):
    path = place / "faceless.mp4"
    subprocess.run(
        ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-pix_fmt", "yuv420p", str(path)), check=True
    )
    return path


def failure(session, request):
    with pytest.raises(HeygemError) as caught:
        session.render(request)
    assert list(request.output.parent.iterdir()) == []
    return caught.value.code


def test_a_video_without_a_face_is_refused_and_leaves_nothing(place, session, recording, faceless):
    assert failure(session, ask(place / "bad", recording, faceless)) == "no_face"


def test_a_text_file_called_mp4_is_refused(place, session, recording):
    (place / "text.mp4").write_text("hello", encoding="ascii")
    assert failure(session, ask(place / "bad", recording, place / "text.mp4")) == "not_a_video"


def test_a_silent_recording_is_refused(place, session, clip):
    silence = write_wav(place / "silence.wav", np.zeros(RATE))
    assert failure(session, ask(place / "bad", silence, clip)) == "audio_silent"


def test_an_unknown_engine_is_refused(place, session, recording, clip):
    assert failure(session, ask(place / "bad", recording, clip, engine="magic")) == "unknown_engine"


def test_an_unknown_face_is_refused(place, session, recording, clip):
    assert failure(session, ask(place / "bad", recording, clip, face="the tall one")) == "bad_job_toml"


def test_missing_models_are_named(place, recording, clip, tmp_path):
    assert failure(RenderSession(tmp_path, place / "cache", device="cpu"), ask(place / "bad", recording, clip)) == "models_missing"


def test_an_interruption_in_the_middle_leaves_no_file_and_no_process(place, session, recording, clip):
    class Enough(BaseException):
        pass

    def stop(step):
        if step.stage == "render" and step.done > 3:
            raise Enough

    request = ask(place / "bad", recording, clip)
    with pytest.raises(Enough):
        session.render(request, stop)
    assert list(request.output.parent.iterdir()) == []
    children = subprocess.run(["pgrep", "-f", str(place)], capture_output=True, text=True, check=False).stdout
    assert children == ""


def test_the_report_is_plain_enough_for_json(made):
    from heygem_daemon.worker.session import result_of  # noqa: PLC0415  (belongs to the layer above)

    result = json.loads(json.dumps(result_of(made[1])))
    assert result["fps"] == pytest.approx(23.976)
    assert result["warnings"] == list(made[1].warnings)
