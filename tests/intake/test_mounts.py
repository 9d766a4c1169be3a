from pathlib import Path

import pytest

from heygem_daemon.intake.mounts import Mount, mount_of

TABLE = b"""\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /mnt rw,relatime shared:3 master:1 - tmpfs none rw
31 30 0:31 / /mnt/share rw,relatime shared:9 - cifs //server/share rw
32 30 0:32 / /mnt/with\\040space rw - nfs4 server:/export rw
33 30 0:33 / /mnt/share-not rw - xfs /dev/vdb rw
34 31 0:34 / /mnt/share rw - ext4 /dev/vdc rw
35 27 0:35 / /mnt/caf\xc3\xa9 rw - fuse.sshfs user@host: rw
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_bytes(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "fs_type"),
    [
        ("/srv/inbox", "ext4"),
        ("/mnt/other", "tmpfs"),
        ("/mnt/with space/inbox", "nfs4"),
        ("/mnt/share-not/inbox", "xfs"),
        ("/mnt/café", "fuse.sshfs"),
    ],
)
def test_a_path_lies_on_the_mount_with_the_longest_matching_point(table: Path, path: str, fs_type: str) -> None:
    mount = mount_of(path, table)
    assert mount is not None
    assert mount.fs_type == fs_type


def test_of_two_mounts_on_one_point_the_later_one_is_on_top(table: Path) -> None:
    assert mount_of("/mnt/share/inbox", table) == Mount(point="/mnt/share", fs_type="ext4")


@pytest.mark.parametrize("fs_type", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse", "ceph", "afs", "virtiofs", "lustre"])
def test_shares_are_network_file_systems(fs_type: str) -> None:
    assert Mount(point="/", fs_type=fs_type).network


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "vfat", "fuseblk"])
def test_disks_are_local_file_systems(fs_type: str) -> None:
    assert not Mount(point="/", fs_type=fs_type).network


def test_a_link_is_judged_by_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "inbox").symlink_to("/proc/self")
    mount = mount_of(str(tmp_path / "inbox"))
    assert mount is not None
    assert mount.fs_type == "proc"


def test_the_kernels_own_table_knows_the_temporary_folder(tmp_path: Path) -> None:
    assert mount_of(str(tmp_path)) is not None


def test_without_a_table_nothing_is_claimed_about_a_path(tmp_path: Path) -> None:
    assert mount_of("/srv", tmp_path / "missing") is None
