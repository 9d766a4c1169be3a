"""What comes back from real folders through a real daemon process: speaking presenters, or reasons."""

import json
import shutil
import subprocess
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
import soundfile

from heygem_daemon.core.status import DaemonStatus, JobStatus
from tests.e2e.site import Site


def streams(path: Path) -> dict[str, dict[str, str]]:
    output = subprocess.run(
        ("ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", str(path)),
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    content = json.loads(output)
    return {"format": content["format"], **{stream["codec_type"]: stream for stream in content["streams"]}}


def test_a_folder_dropped_comes_back_as_a_speaking_presenter(site: Site, speech: Path, portrait_clip: Path, portrait: Path) -> None:
    site.drop("lesson-01", speech, [portrait_clip, portrait.with_name("portrait.png")], {"job.toml": "zip = true\nexplain = true\n"})
    shutil.copyfile(portrait, site.inbox / "lesson-01" / "videos" / "still.png")
    (site.inbox / "lesson-01" / "videos" / "portrait.png").unlink()
    assert site.run_until_idle() == 0

    status = JobStatus.read((site.outputs / "lesson-01" / "status.json").read_bytes())
    assert status.state == "succeeded"
    assert {item.key for item in status.items} == {"portrait", "still"}
    seconds = soundfile.info(str(speech)).duration
    for item in status.items:
        found = streams(site.outputs / "lesson-01" / f"{item.key}.mp4")
        assert int(found["video"]["nb_read_frames"]) == round(seconds * Fraction(found["video"]["r_frame_rate"]))
        assert abs(float(found["audio"]["duration"]) - seconds) < 0.03
        assert (site.outputs / "lesson-01" / "thumbnails" / f"{item.key}.jpg").stat().st_size > 1000
        assert item.error is None
        assert item.explain == f"explain/{item.key}.png"
        assert (site.outputs / "lesson-01" / item.explain).read_bytes()[1:4] == b"PNG"
    assert "trainedAlgorithmicMedia" in json.dumps(streams(site.outputs / "lesson-01" / "portrait.mp4")).replace("Trained", "trained")
    with zipfile.ZipFile(site.outputs / "lesson-01" / "lesson-01.zip") as bundle:
        assert sorted(bundle.namelist()) == ["portrait.mp4", "still.mp4"]
    assert not (site.inbox / "lesson-01").exists()
    assert (site.inbox / "_done" / "lesson-01" / speech.name).is_file()
    assert not list((site.inbox / ".heygem" / "claimed").iterdir())
    daemon = DaemonStatus.read((site.outputs / "status.json").read_bytes())
    assert (daemon.state, [job.state for job in daemon.jobs]) == ("stopped", ["succeeded"])


@pytest.mark.slow  # tests/daemon/test_drop_contents.py and tests/intake refuse the same
def test_bad_material_is_refused_with_a_reason_and_the_rest_goes_on(site: Site, speech: Path, portrait_clip: Path, faceless: Path) -> None:
    truncated = site.folder / "cut.mp4"
    truncated.write_bytes(portrait_clip.read_bytes()[: portrait_clip.stat().st_size // 2])
    silence = site.folder / "silence.wav"
    soundfile.write(str(silence), [0.0] * 16000, 16000)
    other = site.folder / "other.wav"
    shutil.copyfile(speech, other)
    site.drop("no-recording", None, [portrait_clip])
    site.drop("no-videos", speech)
    site.drop("two", speech, [portrait_clip])
    shutil.copyfile(other, site.inbox / "two" / "other.wav")
    site.drop("silent", silence, [portrait_clip])
    site.drop("options", speech, [portrait_clip], {"job.toml": 'enginne = "rewrite"\n'})
    mixed = site.drop("mixed", speech, [portrait_clip, faceless, truncated], {"videos/text.mp4": "this is not a video"})
    (mixed / "videos" / "link.mp4").symlink_to(portrait_clip)
    (mixed / "videos" / "odd\nname.mp4").write_bytes(b"x" * 100)
    assert site.run_until_idle() == 3

    codes = {name: site.status(name)["error"]["code"] for name in ("no-recording", "no-videos", "two", "silent", "options")}
    assert codes == {
        "no-recording": "no_recording", "no-videos": "no_videos", "two": "two_recordings", "silent": "audio_silent",
        "options": "unknown_option",
    }  # fmt: skip
    for name in codes:
        assert site.status(name)["state"] == "rejected"
        reason = (site.inbox / "_failed" / name / "reason.txt").read_text(encoding="utf-8")
        assert site.status(name)["error"]["message"] in reason
        assert site.status(name)["error"]["hint"]
    assert "engine" in site.status("options")["error"]["hint"]
    items = {item["video"]: item for item in site.status("mixed")["items"]}
    assert site.status("mixed")["state"] == "partial"
    assert items["videos/portrait.mp4"]["state"] == "succeeded"
    found = {video: item["error"]["code"] for video, item in items.items() if item["error"]}
    assert found.pop(next(video for video in found if "odd" in video)) == "bad_name"
    assert found == {
        "videos/faceless.mp4": "no_face", "videos/cut.mp4": "video_truncated", "videos/text.mp4": "not_a_video",
        "videos/link.mp4": "symlink",
    }  # fmt: skip
    assert "no_face" in (site.inbox / "_failed" / "mixed" / "reason.txt").read_text(encoding="utf-8")
