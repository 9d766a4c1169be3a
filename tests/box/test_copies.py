"""Copies that are slow, break off, freeze, promise too much, or meet: never is half a file taken, and never is a drop lost.

PAUSE lies in the inbox: what was taken in is looked at, and nothing is rendered.
"""

import time

import pytest

from tests.box.box import Box, digests
from tests.box.material import Material, copy
from tests.box.share import Share, set_old_times, total_bytes, wait_for_arrival

pytestmark = pytest.mark.box

INCOMPLETE_SECONDS = 4.0
"""`intake.incomplete_seconds` in the box."""


def taken_at(box: Box, name: str) -> float:
    """Wait for the claim and return its time of day."""
    return int(box.wait_for_event("drop_claimed", name)["__REALTIME_TIMESTAMP"]) / 1e6


def assert_is_untouched(box: Box, name: str) -> None:
    assert not box.events("drop_claimed", f"HEYGEM_JOB={name}"), box.diagnosis(name)
    assert (box.inbox / name).is_dir()


def test_a_slow_copy_is_taken_when_it_has_ended(paused: Box, share: Share, large: Material) -> None:
    source = large.drop("slow")
    rate = total_bytes(source) // 5
    with share.slow_link(rate) as port, share.putting(source, port) as client:
        client.wait(60)
        ended = time.time()
        assert client.returncode == 0
    assert taken_at(paused, "slow") > ended
    assert digests(paused.claimed("slow")) == digests(source)


def test_a_copy_that_was_killed_half_way_is_refused_with_the_reason_and_the_next_one_is_taken(
    paused: Box, share: Share, large: Material
) -> None:
    source = large.drop("killed")
    with share.slow_link(total_bytes(source) // 5) as port, share.putting(source, port) as client:
        wait_for_arrival(paused.inbox / "killed", total_bytes(source) // 2)
        client.kill()
    assert (paused.inbox / "killed").is_dir()
    status = paused.wait_for_state("killed", "rejected", "failed", timeout=40)
    assert status["items"][0]["error"]["code"] in {"video_truncated", "not_a_video"}
    assert status["items"][0]["error"]["message"] in (paused.inbox / "_failed" / "killed" / "reason.txt").read_text(encoding="utf-8")
    assert not paused.events("item_started", "HEYGEM_JOB=killed")

    share.put(source)
    paused.until(lambda: len(paused.events("drop_claimed", "HEYGEM_JOB=killed")) == 2, 30, "the second copy was not taken", "killed")
    entry = paused.events("drop_claimed", "HEYGEM_JOB=killed")[1]
    assert digests(paused.inbox / ".heygem" / "claimed" / entry["HEYGEM_JOB_ID"] / "killed") == digests(source)


def test_a_copy_over_a_link_that_froze_waits_for_its_writer(paused: Box, share: Share, large: Material) -> None:
    source = large.drop("frozen")
    size = total_bytes(source)
    with share.slow_link(size, freeze_after=size * 3 // 4) as port, share.putting(source, port) as client:
        wait_for_arrival(paused.inbox / "frozen", size // 2)
        time.sleep(INCOMPLETE_SECONDS + 2)
        assert client.poll() is None
        assert paused.state("frozen") == "settling"
        assert_is_untouched(paused, "frozen")
    share.put(source)
    taken_at(paused, "frozen")
    assert digests(paused.claimed("frozen")) == digests(source)


def test_a_copy_as_windows_explorer_makes_it_is_taken_when_it_has_ended(paused: Box, share: Share, material: Material) -> None:
    source = material.drop("explorer")
    set_old_times(source)
    client = share.explorer_copies(source, pause=0.8)
    video = paused.inbox / "explorer" / "videos" / "teacher.mp4"
    size = (source / "videos" / "teacher.mp4").stat().st_size
    paused.until(lambda: video.exists() and video.stat().st_size == size, 40, "the video was not begun", "explorer")
    assert client.poll() is None, "the full size stands there long before the content"
    assert client.wait(60) == 0
    ended = time.time()
    assert taken_at(paused, "explorer") > ended - 0.1
    assert digests(paused.claimed("explorer")) == digests(source)


def test_a_folder_that_was_moved_in_is_taken_at_once(paused: Box, material: Material) -> None:
    beside = paused.inbox.parent / "moved"
    copy(material.drop("moved"), beside)
    paused.run("chown", "--recursive", "root:heygem-users", "/srv/heygem/moved")
    paused.run("chmod", "--recursive", "g+rwX", "/srv/heygem/moved")
    began = time.time()
    beside.rename(paused.inbox / "moved")
    assert taken_at(paused, "moved") - began < 5
    assert digests(paused.claimed("moved")) == digests(material.folder / "moved")


def test_two_clients_writing_the_same_drop_make_one_job_of_whole_files(paused: Box, share: Share, large: Material) -> None:
    source = large.drop("both")
    size = total_bytes(source)
    with (
        share.slow_link(size // 3, port=10445) as fast,
        share.slow_link(size // 6, port=10446) as slow,
        share.putting(source, fast) as one,
        share.putting(source, slow) as other,
    ):
        assert one.wait(60) == 0
        assert_is_untouched(paused, "both")
        assert other.wait(60) == 0
        ended = time.time()
    assert taken_at(paused, "both") > ended - 0.1
    assert digests(paused.claimed("both")) == digests(source)
    assert len(paused.events("drop_claimed", "HEYGEM_JOB=both")) == 1
