"""How often the daemon lists a claimed drop: every listing costs round trips on a share."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.daemon.harness import DaemonHarness


class FolderListings:
    """Counts os.scandir and os.listdir by folder, wherever they are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[Path] = Counter()
        scandir, listdir = os.scandir, os.listdir

        def counted_scandir(path: "int | str | os.PathLike[str]" = ".") -> object:
            self._count(path)
            return scandir(path)

        def counted_listdir(path: "int | str | os.PathLike[str]" = ".") -> object:
            self._count(path)
            return listdir(path)

        monkeypatch.setattr(os, "scandir", counted_scandir)
        monkeypatch.setattr(os, "listdir", counted_listdir)

    def _count(self, path: "int | str | os.PathLike[str]") -> None:
        """An open folder is counted under the path that it has now."""
        self.counts[Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else Path(path)] += 1

    def below(self, folder: Path) -> dict[str, int]:
        return {str(path.relative_to(folder)): count for path, count in self.counts.items() if path.is_relative_to(folder)}


@pytest.mark.parametrize("job_toml", ["", "priority = 3\n"])
def test_a_claimed_drop_is_listed_once_up_to_its_work_order(harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch, job_toml: str) -> None:
    listings = FolderListings(monkeypatch)
    harness.drop("lesson", job_toml, videos=("a.mp4", "b.mp4"))
    harness.until(lambda: len(harness.events_named("item_started")) == 2)
    assert listings.counts[harness.inbox / "lesson"] >= 2, "before the claim every scan lists it"
    claimed = Path(harness.job("lesson").claimed) / "lesson"
    assert listings.below(claimed) == {".": 1, "videos": 1}


def test_a_claimed_drop_in_the_flat_form_is_listed_once_up_to_its_work_order(
    harness: DaemonHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings = FolderListings(monkeypatch)
    staged = harness.drop(".staged")
    for part in staged.iterdir():
        part.rename(harness.inbox / part.name)
    harness.until(lambda: harness.events_named("item_started"))
    claimed = Path(harness.job("speech").claimed) / "flat"
    assert listings.below(claimed) == {".": 1, "videos": 1}
