"""Texts of users and foreign programs are bounded wherever they go."""

from hypothesis import given
from hypothesis import strategies as st

from heygem_daemon.core.errors import MAX_DETAIL, MAX_SENTENCE, HeygemError, error
from heygem_daemon.core.shorten import shortened


def test_a_short_text_stays_and_a_long_one_ends_with_an_ellipsis() -> None:
    assert shortened("lesson", 6) == "lesson"
    assert shortened("lessons", 6) == "lesso…"


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_no_text_is_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit


def test_the_details_of_an_error_are_shortened_and_its_sentence_still_ends() -> None:
    found = error("unknown_option", key="k" * 3_000_000, suggestion="x" * 3_000_000)
    assert len(found.message) < MAX_DETAIL + 100
    assert found.message.endswith("….")
    assert len(found.hint) <= MAX_DETAIL


def test_numbers_and_paths_stay_whole() -> None:
    assert "limit of 3" in error("too_many_items", count=5, limit=3).message
    path = "/srv/" + "x" * 1000
    assert path in error("share_offline", path=path).message


def test_no_error_has_a_sentence_without_end() -> None:
    found = HeygemError("internal", "m" * 100_000, "h" * 100_000)
    assert len(found.message) == len(found.hint) == len(str(found)) == MAX_SENTENCE
