"""`heygem check` on an installed machine: root runs it, and it reports what the service can do."""

import re

import pytest

from tests.box.box import DROP_INS, INBOX, UNIT, Box

pytestmark = pytest.mark.box
AT_A_TERMINAL = ("env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def check(box: Box, *options: str) -> tuple[int, str]:
    result = box.run(*AT_A_TERMINAL, "heygem", "check", "--device", "cpu", *options, check=False, timeout=120)
    return result.returncode, result.stdout


def test_an_installation_is_all_well_for_the_user_of_the_service(service: Box) -> None:
    code, output = check(service)
    assert code == 0, output
    assert "checking as heygem (groups: heygem, heygem-users" in output
    assert "the service is running" in output
    assert re.search(r"a daemon \(process \d+\) is using /var/lib/heygem", output)
    assert f"heygem and the group heygem-users (heygem, heygem-web) can put drops into inbox {INBOX}" in output
    assert "journal: /run/systemd/journal/socket" in output


def test_an_inbox_that_the_unit_may_not_write_gets_its_drop_in(service: Box) -> None:
    elsewhere = "/data/in box"
    try:
        errors = apply_fixes(service, elsewhere)
        assert any("is not there" in each for each in errors)
        assert any("ProtectSystem" in each for each in errors)
        assert service.show("ActiveState")["ActiveState"] == "active"
        assert service.run("nsenter", "--target", str(service.pid()), "--mount", "test", "-w", elsewhere, check=False).returncode == 0
    finally:
        service.run("rm", "-rf", "/data", f"{DROP_INS}/folders.conf")
        service.run("systemctl", "daemon-reload")
        service.run("systemctl", "restart", UNIT)


def apply_fixes(box: Box, inbox: str) -> list[str]:
    """Run the command of the first error until there is none; return the errors."""
    errors: list[str] = []
    while True:
        code, output = check(box, "--inbox", inbox)
        found = re.search(r"^error +(.*)\n +fix: (.*)$", output, re.MULTILINE)
        if not found:
            assert code == 0, output
            return errors
        assert len(errors) < 5, output
        errors.append(found[1])
        box.run(*AT_A_TERMINAL, "sh", "-c", found[2])
