import pytest
from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.settle import LONGEST_WAIT, Settling


def seen(*looks: tuple[str, float], writers: bool = False) -> Settling:
    settling = Settling()
    for signature, now in looks:
        settling = settling.observe(signature, 1, now, writers)
    return settling


def test_a_drop_never_seen_has_not_settled() -> None:
    assert not Settling().is_settled(1e9, 0)


def test_a_drop_settles_once_it_was_unchanged_for_the_base_time() -> None:
    settling = seen(("a", 100), ("a", 104.9))
    assert not settling.is_settled(104.9, 5)
    assert settling.is_settled(105, 5)
    assert settling.settled_at(5) == 105


def test_a_change_starts_the_wait_again() -> None:
    settling = seen(("a", 100), ("b", 101))
    assert settling.settled_at(5) == 106


def test_a_copy_that_pauses_is_given_twice_its_longest_pause() -> None:
    settling = seen(("a", 0), ("b", 20), ("c", 21))
    assert settling.wait(5) == 40
    assert not settling.is_settled(60.9, 5)
    assert settling.is_settled(61, 5)


def test_the_wait_has_an_end_however_long_the_pause_was() -> None:
    settling = seen(("a", 0), ("b", 86_400))
    assert settling.wait(5) == LONGEST_WAIT
    assert settling.wait(LONGEST_WAIT + 1) == LONGEST_WAIT + 1


def test_a_drop_that_is_being_written_has_not_settled() -> None:
    settling = seen(("a", 0), writers=True)
    assert not settling.is_settled(1000, 5)
    assert settling.observe("a", 1, 1000, False).is_settled(1000, 5)


def test_the_latest_size_is_kept() -> None:
    assert Settling().observe("a", 7, 0, False).observe("a", 9, 1, False).size == 9


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 50)), min_size=1, max_size=20), st.floats(0, 30))
def test_a_settled_drop_was_never_seen_changing_within_the_wait(steps: list[tuple[str, float]], base: float) -> None:
    settling, now, changed, before = Settling(), 0.0, 0.0, ""
    for signature, pause in steps:
        now += pause
        settling = settling.observe(signature, 1, now, False)
        changed = now if signature != before else changed
        before = signature
        assert settling.changed_at == pytest.approx(changed)
        assert settling.is_settled(now, base) == (now - changed >= settling.wait(base)) or now == pytest.approx(settling.settled_at(base))
