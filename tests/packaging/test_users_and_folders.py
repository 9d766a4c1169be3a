"""systemd/heygem.sysusers and heygem.tmpfiles, applied by the real programs below a folder of the test."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

PROGRAMS: Final = ("systemd-sysusers", "systemd-tmpfiles", "getfacl")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="making users and folders of others needs root"),
    pytest.mark.skipif(any(shutil.which(name) is None for name in PROGRAMS), reason=f"needs {', '.join(PROGRAMS)}"),
]


@pytest.fixture(scope="module")
def system(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a system with the users and folders of the service."""
    system = tmp_path_factory.mktemp("system")
    (system / "etc").mkdir()
    for kind in ("sysusers", "tmpfiles"):
        place = system / "usr" / "lib" / f"{kind}.d" / "heygem.conf"
        place.parent.mkdir(parents=True)
        place.write_bytes((root / "systemd" / f"heygem.{kind}").read_bytes())
    apply("systemd-sysusers", system)
    # ACLs are looked up among the users of the machine, which has none of these names: numbers stand for them.
    words = place.read_text(encoding="utf-8")
    for kind, name in (("user", "heygem"), ("group", "heygem-users")):
        words = words.replace(f"{kind}:{name}:", f"{kind}:{number(system, kind, name)}:")
    place.write_text(words, encoding="utf-8")
    apply("systemd-tmpfiles", system, "--create")
    return system


def apply(program: str, system: Path, *words: str) -> None:
    done = subprocess.run((program, f"--root={system}", *words, "heygem.conf"), capture_output=True, text=True, check=True, timeout=60)
    assert not re.search(r"fail|ignor|unknown|invalid", done.stderr, flags=re.IGNORECASE), done.stderr


def number(system: Path, kind: str, name: str) -> int:
    lines = (system / "etc" / ("passwd" if kind == "user" else "group")).read_text(encoding="utf-8")
    found = re.search(rf"^{name}:x:(\d+):", lines, flags=re.MULTILINE)
    assert found, lines
    return int(found[1])


def owner_and_mode(path: Path) -> tuple[int, int, str]:
    found = path.stat()
    return found.st_uid, found.st_gid, f"{stat.S_IMODE(found.st_mode):o}"


@pytest.mark.parametrize("name", ["heygem", "heygem-web"])
def test_the_user_of_a_service_cannot_log_in(system: Path, name: str) -> None:
    (line,) = [line for line in (system / "etc" / "passwd").read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:")]
    assert line.endswith(f":/var/lib/{name}:/usr/sbin/nologin")


def test_the_users_of_the_services_are_people_of_the_share_and_of_nothing_else(system: Path) -> None:
    groups = (system / "etc" / "group").read_text(encoding="utf-8")
    assert re.findall(r"^([\w-]+):x:\d+:(\S+)$", groups, flags=re.MULTILINE) == [("heygem-users", "heygem,heygem-web")]


@pytest.mark.parametrize("folder", ["var/lib/heygem", "var/lib/heygem/weights", "var/cache/heygem"])
def test_what_is_the_services_own_is_closed_to_others(system: Path, folder: str) -> None:
    assert owner_and_mode(system / folder) == (number(system, "user", "heygem"), number(system, "group", "heygem"), "750")


def test_users_and_tokens_of_the_page_are_closed_to_everybody_else(system: Path) -> None:
    owner = number(system, "user", "heygem-web"), number(system, "group", "heygem-web"), "700"
    assert owner_and_mode(system / "var/lib/heygem-web") == owner


@pytest.mark.parametrize("folder", ["srv/heygem/inbox", "srv/heygem/outputs"])
def test_what_people_use_belongs_to_their_group(system: Path, folder: str) -> None:
    assert owner_and_mode(system / folder) == (number(system, "user", "heygem"), number(system, "group", "heygem-users"), "2770")


def test_what_an_administrator_changed_stays(system: Path) -> None:
    outputs = system / "srv" / "heygem" / "outputs"
    before = outputs.stat()
    try:
        outputs.chmod(0o2775)
        apply("systemd-tmpfiles", system, "--create")
        assert f"{stat.S_IMODE(outputs.stat().st_mode):o}" == "2775"
    finally:
        outputs.chmod(stat.S_IMODE(before.st_mode))


def test_a_folder_made_with_a_narrow_umask_can_still_be_moved_by_the_service(system: Path) -> None:
    folder = system / "srv" / "heygem" / "inbox" / "lesson"
    subprocess.run(("sh", "-c", 'umask 077; mkdir "$1" && : >"$1/speech.wav"', "sh", str(folder)), check=True, timeout=60)
    service = number(system, "user", "heygem")
    assert _effective(folder, service) == "rwx"
    assert _effective(folder / "speech.wav", service).startswith("r")


def _effective(path: Path, user: int) -> str:
    """Return what the ACL lets this user do, after the mask."""
    done = subprocess.run(("getfacl", "--numeric", "--absolute-names", str(path)), capture_output=True, text=True, check=True, timeout=60)
    found = re.search(rf"^user:{user}:(\S+)(?:\s+#effective:(\S+))?$", done.stdout, flags=re.MULTILINE)
    assert found, done.stdout
    return found[2] or found[1]
