"""A line reads as a sentence, whatever fields it has."""

import pytest

from heygem_daemon.service.events import EVENTS
from heygem_daemon.service.message_template import MAX_LENGTH, names_in, sentence, truncated


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("item_published", {"job": "lesson-01", "item": "teacher-a", "seconds": 12.34}, "lesson-01/teacher-a: published after 12.3 s"),
        ("item_published", {"job": "lesson-01", "item": "teacher-a"}, "lesson-01/teacher-a: published"),
        ("item_published", {"seconds": 1}, "?/?: published after 1.0 s"),
        ("item_published", {"job": "a", "item": "b", "seconds": "soon"}, "a/b: published after soon s"),
        ("job_finished", {"job": "a", "state": "partial", "succeeded": 2, "items": 3}, "a: partial, 2 of 3 results"),
        ("job_finished", {"job": "a", "state": "failed", "succeeded": 0, "items": 1}, "a: failed, 0 of 1 result"),
        ("job_finished", {"job": "a", "state": "rejected", "succeeded": 0, "items": 0, "reason": "No videos."}, "a: rejected: No videos."),
        ("config_reloaded", {"changes": ["a: 1 -> 2", "b: 3 -> 4"]}, "configuration read again: a: 1 -> 2; b: 3 -> 4"),
        ("daemon_ready", {"seconds": 0.21, "inboxes": 1}, "ready after 0.2 s, 1 inbox"),
        ("daemon_ready", {"seconds": 0.21, "inboxes": 2}, "ready after 0.2 s, 2 inboxes"),
        ("daemon_stopping", {"running": 0}, "stopping"),
        ("swept", {"deleted": {"inputs": 3, "staging": 0, "history": 1}}, "deleted what was over its keep time: inputs 3, history 1"),
        ("inbox_offline", {"inbox": "/srv/in", "reason": "It is\nnot mounted"}, "inbox /srv/in is not reachable: It is not mounted"),
        ("worker_output", {"worker": "w0", "line": "50 {%} [done]"}, "worker w0: 50 {%} [done]"),
        ("request_taken", {"verb": "retry", "target": "lesson-01"}, "requested: retry lesson-01"),
    ],
)
def test_an_event_reads_as_a_sentence(event: str, fields: dict[str, object], expected: str) -> None:
    assert EVENTS[event].sentence(fields) == expected


@pytest.mark.parametrize("value", ["text", 3, 2.5, True, ["a", 1], {"a": 1}, {}, object(), "\udcff\n\x1b"])
def test_no_field_makes_a_sentence_fail(value: object) -> None:
    for event in EVENTS.values():
        message = event.sentence(dict.fromkeys(names_in(event.message), value))
        assert message.strip(), event.name
        assert message.isprintable(), event.name


def test_a_sentence_is_one_line_of_bounded_length() -> None:
    message = sentence("{text}", {"text": "word\r\n" * 10_000})
    assert MAX_LENGTH <= len(message) < MAX_LENGTH + 100
    assert "\n" not in message


def test_what_is_truncated_keeps_its_beginning_and_its_end() -> None:
    assert truncated("abcdef", 6) == "abcdef"
    assert truncated("abcdefgh", 4) == "ab ... [4 characters left out] ... gh"
