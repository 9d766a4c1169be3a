"""What Python prints by itself becomes lines of the log."""

import threading
import warnings

import pytest

from heygem_daemon.service.python_messages import logged_by


class Broken:
    def __del__(self) -> None:
        raise ValueError("in a destructor")


def test_threads_destructors_and_warnings_become_lines(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[tuple[str, dict[str, object]]] = []

    def log(event: str, /, *, level: str = "info", **fields: object) -> None:
        lines.append((event, {"level": level, **fields}))

    def fail() -> None:
        raise KeyError("in a thread")

    before = threading.excepthook
    with logged_by(log):
        thread = threading.Thread(target=fail, name="worker thread")
        thread.start()
        thread.join()
        Broken()
        warnings.simplefilter("always")
        warnings.warn("a library is old", DeprecationWarning, stacklevel=1)
    assert threading.excepthook is before
    assert [event for event, _ in lines] == ["internal_error", "internal_error", "library_output"]
    assert lines[0][1]["part"] == "worker thread"
    assert isinstance(lines[0][1]["exc_info"], KeyError)
    assert "Broken" in str(lines[1][1]["part"])
    assert lines[2][1]["line"] == "DeprecationWarning: a library is old"
    assert capfd.readouterr() == ("", "")
