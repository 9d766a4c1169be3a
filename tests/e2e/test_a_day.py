"""A day at the inbox: real folders, a real daemon process, a real face, real speech."""

import json
import shutil
import signal
import subprocess
import zipfile
from fractions import Fraction
from pathlib import Path

import soundfile

from heygem_daemon.core.status import DaemonStatus, JobStatus
from tests.e2e.site import Site, children_of, is_running, kill


def streams(path: Path) -> dict[str, dict[str, str]]:
    output = subprocess.run(
        ("ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", str(path)),
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    content = json.loads(output)
    return {"format": content["format"], **{stream["codec_type"]: stream for stream in content["streams"]}}


def published(site: Site, item: str) -> int:
    return sum(event["item"] == item for event in site.events("item_published"))


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


def test_bad_material_is_refused_with_words_and_the_rest_goes_on(site: Site, speech: Path, portrait_clip: Path, faceless: Path) -> None:
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


def test_kill_nine_in_the_middle_of_an_item_loses_nothing_and_does_nothing_twice(site: Site, speech: Path, portrait_clip: Path) -> None:
    second = site.folder / "second.mp4"
    shutil.copyfile(portrait_clip, second)
    site.drop("lesson-01", speech, [portrait_clip, second])
    site.drop("lesson-02", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_published"), "nothing was published")
    site.wait_for(lambda: len(site.events("item_started")) == 2, "the second item did not start")
    workers = children_of(daemon.pid)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(60)
    site.wait_for(lambda: not any(map(is_running, workers)), "a worker stayed")

    assert site.run_until_idle() == 0
    assert site.status("lesson-01")["state"] == site.status("lesson-02")["state"] == "succeeded"
    started = [(event["job"], event["item"]) for event in site.events("item_started")]
    assert len(started) == 4, "three items, one of them interrupted once"
    assert len(site.events("item_published")) == 3
    assert sorted(path.name for path in (site.inbox / "_done").iterdir()) == ["lesson-01", "lesson-02"]
    assert not list((site.outputs / ".heygem" / "staging").iterdir())


def test_a_killed_worker_costs_an_attempt_and_nothing_else(site: Site, speech: Path, portrait_clip: Path) -> None:
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_started"), "no item started")
    for pid in children_of(daemon.pid):
        kill(pid)
    status = site.wait_for_state("lesson-01", "succeeded")
    assert status["items"][0]["attempt"] == 2
    assert [event["error_code"] for event in site.events("item_retrying")] == ["worker_died"]
    assert site.stop(daemon) == 0


def test_an_orderly_stop_gives_the_item_back_and_the_next_start_finishes_it(site: Site, speech: Path, portrait_clip: Path) -> None:
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("item_started"), "no item started")
    assert site.stop(daemon) == 0
    assert site.status("lesson-01")["state"] == "interrupted"
    assert site.status()["state"] == "stopped"
    assert site.call("status", "--outputs", str(site.outputs)).returncode == 1
    assert site.run_until_idle() == 0
    assert site.status("lesson-01")["items"][0]["attempt"] == 1


def test_holding_cancelling_pausing_and_trying_again(site: Site, speech: Path, portrait_clip: Path, faceless: Path) -> None:
    assert site.call("pause").returncode == 0
    daemon = site.start()
    site.drop("held", speech, [portrait_clip])
    (site.inbox / "held.hold").touch()
    site.drop("lesson-01", speech, [portrait_clip])
    site.drop("wrong", speech, [faceless])
    site.wait_for(lambda: "Paused" in (site.status("lesson-01").get("waiting_for") or ""), "the pause was not reported")
    assert "held.hold" in site.wait_for_state("held", "settling", "waiting")["reason"]
    assert not site.events("item_started")
    (site.inbox / "lesson-01.cancel").touch()
    site.wait_for_state("lesson-01", "cancelled")
    assert site.call("resume").returncode == 0
    site.wait_for_state("wrong", "failed")
    site.wait_for((site.inbox / "_failed" / "wrong").exists, "its inputs were not moved")
    assert site.call("retry", "nothing-of-this-name").returncode == 1
    assert site.call("retry", "wrong").returncode == 0
    site.wait_for(lambda: site.events("job_retried"), "the retry was not taken")
    site.wait_for(lambda: len(site.events("job_finished")) == 3, "it did not finish again")
    (site.inbox / "held.hold").unlink()
    site.wait_for_state("held", "succeeded")
    result = site.call("status", "--outputs", str(site.outputs))
    assert result.returncode == 0
    assert "held" in result.stdout
    assert site.stop(daemon) == 0


def test_a_second_daemon_on_the_same_state_is_refused(site: Site) -> None:
    daemon = site.start()
    site.wait_for(lambda: site.status().get("state") == "running", "the daemon did not come up")
    second = site.call("run")
    assert second.returncode == 1
    assert "another daemon" in second.stderr
    assert site.stop(daemon) == 0


def test_an_inbox_without_its_marker_is_offline_and_nothing_is_concluded(site: Site, speech: Path, portrait_clip: Path) -> None:
    (site.inbox / ".heygem-inbox").unlink()
    site.drop("lesson-01", speech, [portrait_clip])
    daemon = site.start()
    site.wait_for(lambda: site.events("inbox_offline"), "offline was not logged")
    site.wait_for(lambda: site.status().get("inboxes"), "the daemon wrote no status")
    assert site.status()["inboxes"][0]["online"] is False
    assert not (site.outputs / "lesson-01").exists()
    (site.inbox / ".heygem-inbox").touch()
    site.wait_for_state("lesson-01", "succeeded")
    assert site.stop(daemon) == 0
