"""The situations of the crash matrix, and the steps of the daemon that are killed in each."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from heygem_daemon.core.job import State
from heygem_daemon.core.names import DONE, FAILED, RECORD
from tests.prove.crash_site import CrashSite, Scenario, run_unharmed
from tests.prove.invariants import ExpectedDrop
from tests.prove.upload_process import make_draft

_CLAIMS: Final = "heygem_daemon.intake.claims:FolderClaims"
_PUBLISHER: Final = "heygem_daemon.publishing.publish:FolderPublisher"
_STATUS: Final = "heygem_daemon.publishing.status_files:StatusFiles"
_LEDGER: Final = "heygem_daemon.ledger.sqlite:SqliteLedger"

CLAIM: Final = (f"{_CLAIMS}.claim", f"{_CLAIMS}.listing", f"{_CLAIMS}.job_toml")
PERSIST: Final = (f"{_CLAIMS}.persist",)
LEDGER: Final = (f"{_LEDGER}.put",)
ATTEMPT: Final = (f"{_PUBLISHER}.stage", "heygem_daemon.executors.local:LocalExecutor.submit")
PUBLISH: Final = (
    "heygem_daemon.media.verify:verify_report",
    f"{_PUBLISHER}.publish",
    f"{_PUBLISHER}._move_into_outputs",
    "heygem_daemon.publishing.staging:Staging.remove",
)
ZIP: Final = (f"{_PUBLISHER}._build_zip", f"{_PUBLISHER}.build_zip")
STATUS: Final = (f"{_STATUS}.write_job", f"{_STATUS}.write_daemon", f"{_STATUS}.append_log", f"{_STATUS}.reserve_name")
FINISH: Final = (f"{_CLAIMS}.finish",)
CONTROL: Final = (f"{_CLAIMS}.clear_control",)
RETRY: Final = (f"{_CLAIMS}.restore",)
RECOVER: Final = (
    "heygem_daemon.daemon.recovery:recover_jobs",
    "heygem_daemon.daemon.recovery:recover_claims",
    f"{_CLAIMS}.unclaim",
    f"{_PUBLISHER}.discard",
)
RETENTION: Final = ("heygem_daemon.publishing.retention:FolderRetention.sweep",)
START: Final = (f"{_LEDGER}.__init__", "heygem_daemon.wiring.instance_lock:only_instance")


def one_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """One recording, two videos, a ZIP and the diagnostic images."""
    text = b"zip = true\nexplain = true\n"
    drop = site.drop("lesson", ("a.mp4", "b.mp4"), {"job.toml": text})
    return [replace(drop, zip=True)]


def single_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """One recording, one video."""
    return [site.drop("lesson")]


def deadly_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A drop whose every attempt ends with a dead process: it must end too."""
    return [replace(site.drop("lesson"), state=State.FAILED, place=FAILED, results={})]


def other_formats(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A recording and a video whose headers do not tell all, so that ffprobe has to: MP3 and Matroska."""
    recording, video = site.material.unique_mp3(1), site.material.unique_mkv(2)
    files = {"speech.mp3": recording, "videos/a.mkv": video}
    drop = site.drop_of("lesson", files)
    comment = "-".join(drop.files[path][:16] for path in files)
    return [replace(drop, results={"a.mp4": comment})]


def uploaded_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A draft of the page that is complete and becomes a drop."""
    files = {"speech.wav": site.material.unique_speech(1), "videos/a.mp4": site.material.unique_video(2)}
    make_draft(site.inbox, "lesson", files)
    return [
        replace(site.expected("lesson", files), results={"a.mp4": "-".join(site.expected("", files).files[path][:16] for path in files)})
    ]


def real_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A voice and a face, for the real engine."""
    drop = site.drop_of("lesson", {"speech.wav": site.material.voice.read_bytes(), "videos/a.mp4": site.material.face.read_bytes()})
    return [replace(drop, results={"a.mp4": ""})]


def flat_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """The flat form: recording and videos lie in the inbox itself."""
    return [replace(site.drop("", flat=True), name="speech")]


def partly_broken_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """One good video, one that is none, and a file of the user's that is called like ours."""
    broken, reason = b"this is no video, and never was\n", b"a file of the user's\n"
    drop = site.drop("mixed", ("a.mp4", "b.mp4"), {"videos/b.mp4": broken, "reason.txt": reason})
    files = {("reason-2.txt" if name == "reason.txt" else name): content for name, content in drop.files.items()}
    return [replace(drop, state=State.PARTIAL, place=FAILED, files=files, results={"a.mp4": drop.results["a.mp4"]})]


def cancelled_and_held_drops(site: CrashSite) -> Sequence[ExpectedDrop]:
    """One that is cancelled before it is claimed, and one with a priority that does not wait for its copy to settle."""
    for name in ("gone.cancel", "next.ready"):
        (site.inbox / name).touch()
    (site.inbox / "next.priority").write_text("7", encoding="ascii")
    gone, following = site.drop("gone"), site.drop("next")
    return [replace(gone, state=State.CANCELLED, place=FAILED, results={}), following]


def retried_drop(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A job that ended in part, and a .retry file for it: this engine makes a result of the broken video too."""
    partly = partly_broken_drop(site)
    run_unharmed(site, partly)
    (site.inbox / "mixed.retry").touch()
    hashes = partly[0].files
    comments = {name: "-".join(hashes[path][:16] for path in ("speech.wav", f"videos/{name}")) for name in ("a.mp4", "b.mp4")}
    return [replace(partly[0], state=State.SUCCEEDED, place=DONE, results=comments)]


def expired_drops(site: CrashSite) -> Sequence[ExpectedDrop]:
    """A drop beside old inputs in _done and _failed, and the staging folder of an attempt that died long ago."""
    for place, name in ((DONE, "old-1"), (DONE, "old-2"), (FAILED, "old-3")):
        folder = site.inbox / place / name
        (folder / "videos").mkdir(parents=True)
        (folder / "videos" / "a.mp4").write_bytes(b"old")
        record = folder / RECORD
        record.write_text(json.dumps({"job": f"20200101-000000-{name}-abcdef", "name": name, "flat": False}), encoding="ascii")
        _make_old(record)
    staging = site.outputs / ".heygem/staging/0123456789abcdef"
    staging.mkdir(parents=True)
    (staging / "result.mp4").write_bytes(b"old")
    _make_old(staging / "result.mp4")
    _make_old(staging)
    return [site.drop("lesson")]


def _make_old(path: Path) -> None:
    os.utime(path, (time.time() - 90 * 86400, time.time() - 90 * 86400))


def not_expired(site: CrashSite) -> list[str]:
    """Return what retention has left."""
    folders = (site.inbox / DONE, site.inbox / FAILED, site.outputs / ".heygem/staging")
    left = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name != "lesson"]
    return [f"left: {path} is past its keep time, or half deleted" for path in left]


FULL: Final = Scenario(
    name="a drop with two videos and a ZIP",
    prepare=one_drop,
    steps=(*START, *CLAIM, *PERSIST, *LEDGER, *ATTEMPT, *PUBLISH, *ZIP, *STATUS, *FINISH),
)
FLAT: Final = Scenario(name="a drop in the flat form", prepare=flat_drop, steps=(*CLAIM, *PERSIST, *FINISH))
BROKEN: Final = Scenario(name="a drop with a broken video", prepare=partly_broken_drop, steps=FINISH)
CONTROLLED: Final = Scenario(name="control files", prepare=cancelled_and_held_drops, steps=(*CONTROL, *CLAIM))
RETRIED: Final = Scenario(name="a job tried again", prepare=retried_drop, steps=(*RETRY, *CONTROL), may_reopen=True)
EXPIRED: Final = Scenario(name="old inputs", prepare=expired_drops, steps=RETENTION, check=not_expired)
SINGLE: Final = Scenario(name="a drop", prepare=single_drop, steps=())
DEADLY: Final = Scenario(name="a drop at which processes die every time", prepare=deadly_drop, steps=())
OTHER_FORMATS: Final = Scenario(name="a drop of MP3 and Matroska", prepare=other_formats, steps=())
UPLOADED: Final = Scenario(name="a drop that is uploaded to the page", prepare=uploaded_drop, steps=())
REAL: Final = Scenario(name="a drop for the real engine", prepare=real_drop, steps=())
