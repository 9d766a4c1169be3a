import pytest

from heygem_daemon.core.drop import Entry
from heygem_daemon.core.scan import control_names


@pytest.mark.parametrize(
    ("name", "paths", "names"),
    [
        ("lesson", ["speech.wav"], ("lesson",)),
        ("", ["welcome.wav", "videos/a.mp4", "notes.docx"], ("welcome",)),
        ("", ["videos/a.mp4"], ()),
    ],
)
def test_control_files_go_by_the_name_of_the_folder_or_of_the_recording(name: str, paths: list[str], names: tuple[str, ...]) -> None:
    entries = [Entry(path=path, size=1, mtime_ns=0, ctime_ns=0) for path in paths]
    assert control_names(name, entries) == names
