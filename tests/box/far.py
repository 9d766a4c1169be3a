"""A folder on another computer, mounted into the box over the network (sshfs): it can be unplugged, and it can freeze."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.box.box import Box

SERVER: Final = "far-server"
MOUNT: Final = "far-mount"
PORT: Final = 2222
KEYS: Final = "/run/far"


@dataclass(frozen=True, kw_only=True)
class FarFolder:
    """`served` is seen by the box only through `mounted`."""

    box: Box
    served: str = "/srv/far"
    mounted: str = "/srv/heygem/far"

    @property
    def outside(self) -> Path:
        """The served folder, as its own computer sees it."""
        return self.box.folder / "far"

    def serve(self) -> None:
        self.box.run("rm", "-rf", KEYS)
        self.box.run("mkdir", "-p", KEYS, "/run/sshd", self.mounted)
        for key in ("host", "client"):
            self.box.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{KEYS}/{key}")
        options = {
            "ListenAddress": "127.0.0.1", "Port": str(PORT), "HostKey": f"{KEYS}/host", "AuthorizedKeysFile": f"{KEYS}/client.pub",
            "StrictModes": "no", "UsePAM": "no", "PidFile": "none", "Subsystem": "sftp internal-sftp",
        }  # fmt: skip
        words = (word for name, value in options.items() for word in ("-o", f"{name}={value}"))
        self._begin(SERVER, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words)
        self.box.until(lambda: self.box.run("ss", "-Hltn", f"sport = :{PORT}").stdout, 10, "sshd does not listen")

    def mount(self) -> None:
        options = (
            f"port={PORT},IdentityFile={KEYS}/client,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR,"
            f"allow_other,default_permissions,uid={self._id('--user')},gid={self._id('--group')},dir_cache=no"
        )
        self._begin(MOUNT, "sshfs", "-f", "-o", options, f"root@127.0.0.1:{self.served}", self.mounted)
        self.box.until(lambda: self.box.run("mountpoint", "-q", self.mounted, check=False).returncode == 0, 15, "sshfs did not mount")

    def unmount(self) -> None:
        self.box.run("umount", "--lazy", self.mounted)
        self.box.run("systemctl", "stop", MOUNT, check=False)

    def freeze(self) -> None:
        """The other computer hangs: its connections stay, and nothing answers."""
        self.box.run("systemctl", "kill", "--signal=STOP", SERVER)

    def thaw(self) -> None:
        self.box.run("systemctl", "kill", "--signal=CONT", SERVER)

    def close(self) -> None:
        self.thaw()
        self.unmount()
        self.box.run("systemctl", "stop", SERVER, check=False)

    def _begin(self, unit: str, *command: str) -> None:
        self.box.run("systemctl", "reset-failed", unit, check=False)
        self.box.run("systemd-run", "--quiet", f"--unit={unit}", "--collect", *command)

    def _id(self, which: str) -> str:
        return self.box.run("id", which, "heygem").stdout.strip()
