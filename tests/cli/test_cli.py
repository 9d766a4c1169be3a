"""The commands of `heygem` and what they print and return; some are started as a program once, and all called in this process otherwise."""

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from heygem_daemon.core.job import State
from heygem_daemon.core.status import DaemonStatus, ItemStatus, JobStatus, JobSummary, WarningStatus, moment
from heygem_daemon.ledger.sqlite import SqliteLedger
from tests.cli.runner import heygem, heygem_program
from tests.core.making import item as ledger_item
from tests.core.making import job as ledger_job


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    assert "init-inbox" in heygem_program("--help").stdout
    code = "import sys; sys.argv = ['heygem', '--help']\ntry:\n import heygem_daemon.cli as c; c.main()\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'cv2', 'numpy', 'librosa', 'pydantic', 'rich'} & sys.modules.keys()))"
    loaded = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=60, check=True).stdout
    assert loaded.splitlines()[-1] == "[]"


def test_a_wrong_configuration_is_reported_in_a_sentence_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("outpts = 1\n", encoding="utf-8")
    result = heygem_program("status", "--config", str(tmp_path / "c.toml"))
    assert (result.code, "did you mean outputs?" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr


def test_init_inbox_makes_the_marker_and_pause_and_resume_use_it(tmp_path: Path) -> None:
    inbox = tmp_path / "new" / "inbox"
    assert heygem("pause", "--inbox", str(inbox)).code == 1
    assert heygem_program("init-inbox", str(inbox)).code == 0
    assert (inbox / ".heygem-inbox").is_file()
    assert heygem("pause", "--inbox", str(inbox)).code == 0
    assert (inbox / "PAUSE").is_file()
    assert heygem("resume", "--inbox", str(inbox)).code == 0
    assert not (inbox / "PAUSE").exists()


def test_status_without_a_daemon_reports_that_and_exits_1(tmp_path: Path) -> None:
    result = heygem("status", "--outputs", str(tmp_path))
    assert (result.code, "No daemon has written" in result.stdout) == (1, True)


def test_status_shows_a_stale_daemon_as_not_running(tmp_path: Path) -> None:
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(1000))
    (tmp_path / "status.json").write_text(status.to_json(), encoding="utf-8")
    result = heygem("status", "--outputs", str(tmp_path))
    assert (result.code, "is not running" in result.stdout) == (1, True)
    raw = heygem("status", "--outputs", str(tmp_path), "--json")
    assert json.loads(raw.stdout)["version"] == "1"


def outputs_with(folder: Path, *jobs: JobStatus) -> None:
    """Make outputs look as a running daemon leaves it."""
    for job in jobs:
        (folder / job.output).mkdir()
        (folder / job.output / "status.json").write_text(job.to_json(), encoding="utf-8")
    now, summaries = moment(time.time()), tuple(JobSummary.of(job) for job in jobs)
    status = DaemonStatus(version="1", state="running", pid=1, started=now, heartbeat=now, jobs=summaries)
    (folder / "status.json").write_text(status.to_json(), encoding="utf-8")


def test_status_of_a_job_goes_by_folder_id_or_name_and_by_no_path(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    item = ItemStatus(key="a[x/b]", recording="r", video="v", state=State.FAILED)
    job = JobStatus(job="20260101-lesson-abc", name="lesson", output="lesson-2", state=State.FAILED, since=moment(0), items=(item,))
    outputs_with(outputs, job)
    (tmp_path / "status.json").write_text(job.to_json(), encoding="utf-8")
    for name in ("lesson-2", "lesson", "20260101-lesson-abc"):
        result = heygem("status", name, "--outputs", str(outputs))
        assert (result.code, "a[x/b]" in result.stdout) == (0, True)
    for path in ("..", "../outputs/lesson-2", str(outputs / "lesson-2"), "nobody"):
        assert heygem("status", path, "--outputs", str(outputs)).code == 1
        assert heygem("status", path, "--outputs", str(outputs), "--json").code == 1


def test_status_of_a_job_shows_the_sync_of_its_items_and_their_warnings_in_sentences(tmp_path: Path) -> None:
    item = ItemStatus(
        key="a", recording="r", video="v", state=State.SUCCEEDED, sync_offset_ms=2.6, closure_rate=0.514, frames_not_driven=0.18,
        warnings=("missed_closures", "head_turned"), warning_details={"head_turned": "18% of the frames."},
    )  # fmt: skip
    outputs_with(tmp_path, JobStatus(job="x", name="x", output="x", state=State.SUCCEEDED, since=moment(0), items=(item,)))
    result = " ".join(heygem("status", "x", "--outputs", str(tmp_path)).stdout.split())
    assert "+3 ms" in result
    assert "51%" in result
    assert "82%" in result
    assert "a: The lips often stay open where they should meet" in result
    assert "with other words. 18% of the frames. Look at the result where the presenter turns away" in result


def test_status_of_a_job_names_who_asked_for_it(tmp_path: Path) -> None:
    job = JobStatus(job="x", name="x", output="x", state=State.QUEUED, since=moment(0), owner="amy[b]", reference="order-7")
    outputs_with(tmp_path, job)
    assert "for amy[b]  order-7" in heygem("status", "x", "--outputs", str(tmp_path)).stdout


def test_status_shows_the_warnings_of_a_job_and_how_many_there_are(tmp_path: Path) -> None:
    warning = WarningStatus(code="file_ignored", message="a[1].heic was not used: it lies beside videos/, not in it.", hint="Move it.")
    outputs_with(tmp_path, JobStatus(job="x", name="x", output="x", state=State.SUCCEEDED, since=moment(0), warnings=(warning,) * 2))
    result = " ".join(heygem("status", "x", "--outputs", str(tmp_path)).stdout.split())
    assert "a[1].heic was not used: it lies beside videos/, not in it. Move it. (file_ignored)" in result
    assert "2 warnings" in heygem("status", "--outputs", str(tmp_path)).stdout


def test_status_of_a_drop_on_its_way_in_is_a_sentence(tmp_path: Path) -> None:
    job = JobStatus(job="x", name="x", output="x", state=State.SETTLING, since=moment(0), waiting_for="held", reason="Held back by x.hold")
    outputs_with(tmp_path, job)
    assert "Held back by x.hold" in heygem("status", "x", "--outputs", str(tmp_path)).stdout


def test_a_heartbeat_from_the_future_is_no_sign_of_life(tmp_path: Path) -> None:
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(time.time() + 10**6))
    (tmp_path / "status.json").write_text(status.to_json(), encoding="utf-8")
    assert heygem("status", "--outputs", str(tmp_path)).code == 1


def test_nothing_is_swept_by_a_clock_that_is_far_ahead(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text(json.dumps({"believed": time.time() - 40 * 86400, "seen": time.time() - 40 * 86400}))
    arguments = ("sweep", "--state", str(tmp_path), "--inbox", str(tmp_path / "in"), "--outputs", str(tmp_path))
    refused = heygem(*arguments)
    assert (refused.code, "40.0 days ahead" in refused.stderr) == (1, True)
    assert heygem(*arguments, "--trust-clock").code == 0


def test_a_request_where_no_daemon_ever_ran_is_refused_and_makes_no_ledger(tmp_path: Path) -> None:
    result = heygem_program("retry", "lesson", "--state", str(tmp_path))
    assert (result.code, "no ledger" in result.stderr) == (1, True)
    assert heygem("sweep", "--state", str(tmp_path), "--inbox", str(tmp_path / "in"), "--outputs", str(tmp_path)).code == 0
    assert not list(tmp_path.iterdir())


def test_a_request_is_left_in_the_ledger_and_an_impossible_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEM_OUTPUTS", str(tmp_path))
    (tmp_path / ".heygem-inbox").touch()
    failed = ledger_job(ledger_item("a", State.FAILED), id="1", name="wrong", output="wrong", inbox=str(tmp_path), state=State.FAILED)
    queued = ledger_job(ledger_item("a"), id="2", name="lesson", output="lesson", inbox=str(tmp_path))
    with closing(SqliteLedger(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.put(failed, queued)
        for verb, name in (("retry", "nobody"), ("retry", "lesson"), ("cancel", "wrong")):
            assert heygem(verb, name, "--state", str(tmp_path)).code == 1
        for verb, name in (("retry", "wrong"), ("cancel", "lesson"), ("hold", "lesson")):
            assert heygem(verb, name, "--state", str(tmp_path)).code == 0
        assert ledger.requests(9) == [("retry", "wrong"), ("cancel", "lesson"), ("hold", "lesson")]


def test_a_ledger_that_cannot_be_read_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database" * 100)
    for command in (("cancel", "lesson"), ("sweep", "--outputs", str(tmp_path))):
        result = heygem(*command, "--state", str(tmp_path))
        assert (result.code, "Traceback" in result.stderr, "ledger.sqlite3" in result.stderr) == (1, False, True)


def test_folders_of_ours_inside_an_inbox_are_refused(tmp_path: Path) -> None:
    result = heygem("run", "--until-idle", "--inbox", str(tmp_path), "--outputs", str(tmp_path / "results"), "--state", str(tmp_path))
    assert result.code == 2
    assert "results lies in the inbox" in result.stderr
    assert not (tmp_path / "results").exists()
    nested = heygem("run", "--until-idle", "--inbox", str(tmp_path / "a"), "--inbox", str(tmp_path / "a" / "b"))
    assert nested.code == 2


def folder_options(folder: Path) -> tuple[str, ...]:
    return tuple(word for name in ("outputs", "state", "cache") for word in (f"--{name}", str(folder / name)))


def test_run_until_idle_on_an_inbox_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    result = heygem_program("run", "--until-idle", "--inbox", str(tmp_path / "nowhere"), *folder_options(tmp_path))
    assert (result.code, "does not exist" in result.stderr) == (1, True)


def test_run_reports_what_it_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    result = heygem_program("run", "--inbox", str(tmp_path / "in"), *folder_options(tmp_path))
    assert (result.code, f"({tmp_path / 'state'})" in result.stderr) == (1, True)
    monkeypatch.setenv("HEYGEM_ENGINE__NAME", "magic")
    result = heygem_program("run", "--inbox", str(tmp_path / "in"), *folder_options(tmp_path))
    assert (result.code, "no engine named magic" in result.stderr) == (1, True)


def test_render_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    result = heygem_program("render", "speech.wav", "video.mp4", "--out", str(tmp_path / "out"))
    assert (result.code, "Traceback" in result.stderr) == (1, False)


@pytest.mark.parametrize(
    ("option", "value"), [("--channel", "both"), ("--track", "0"), ("--background", "green"), ("--first-seconds", "0")]
)
def test_render_refuses_a_wrong_option_before_it_loads_anything(tmp_path: Path, option: str, value: str) -> None:
    result = heygem("render", "speech.wav", "video.mp4", "--out", str(tmp_path / "out"), option, value)
    assert result.code == 2
    assert option.removeprefix("--") in result.stderr
    assert not (tmp_path / "out").exists()


def test_render_refuses_files_that_cannot_be_used_without_loading_the_engine(tmp_path: Path, portrait: Path) -> None:
    """All of it ends before torch is imported, which takes seconds."""
    (tmp_path / "words.wav").write_text("hello", encoding="ascii")
    (tmp_path / "words.mp4").write_text("hello", encoding="ascii")
    subprocess.run(("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", str(tmp_path / "tone.wav")), check=True, timeout=60)
    code = (
        "import sys; sys.modules['torch'] = None\n"  # an import of it fails
        "from pathlib import Path; from heygem_daemon.cli.commands.render import render; from heygem_daemon.settings import load\n"
        "folder, portrait = map(Path, sys.argv[1:])\n"
        "for audio, video in (('words.wav', portrait), ('tone.wav', folder / 'words.mp4'), ('none.wav', portrait)):\n"
        "    print(render(load(), folder / audio, [video], folder / 'out'))\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", code, str(tmp_path), str(portrait)), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.split(), "Traceback" in done.stderr) == (["3"] * 3, False), done.stderr
    assert "(audio_unreadable)" in done.stderr
    assert "(not_a_video)" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_printed_schema_is_one_and_fits_a_status_file(tmp_path: Path) -> None:
    schema = json.loads(heygem("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    status = DaemonStatus(version="1", state="running", pid=1, started=moment(0), heartbeat=moment(1000))
    jsonschema.validate(json.loads(status.to_json()), schema)


def test_models_list_and_verify_report_what_is_missing(tmp_path: Path, weights: Path) -> None:
    assert heygem("models", "verify", "--weights", str(weights)).code == 0
    missing = heygem("models", "verify", "--weights", str(tmp_path))
    assert (missing.code, "heygem models fetch" in missing.stderr) == (1, True)
    assert "face" in heygem("models", "list", "--weights", str(tmp_path)).stdout


def test_the_schema_in_the_package_is_the_one_that_is_printed(root: Path) -> None:
    shipped = (root / "heygem_daemon" / "status.schema.json").read_text(encoding="utf-8")
    assert shipped == heygem("schema").stdout, "run `make docs`"
