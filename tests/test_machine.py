"""What the process may use of the machine, read from files of the kernel as they look in containers and services."""

from pathlib import Path

import pytest

from heygem_daemon.machine import Roots, card_memory, memory_available, memory_limit, process_namespace, read_machine, usable_cores

GIB = 2**30


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A machine of 8 GiB, 6 of them available, without cgroups and cards."""
    roots = Roots(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")
    write(roots.proc / "meminfo", f"MemTotal: {8 * 2**20} kB\nMemFree: 100 kB\nMemAvailable: {6 * 2**20} kB\n")
    return roots


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def test_without_limits_the_machine_counts(roots: Roots) -> None:
    assert (memory_limit(roots), memory_available(roots)) == (8 * GIB, 6 * GIB)


def test_the_smallest_limit_of_all_cgroups_above_counts(roots: Roots) -> None:
    write(roots.proc / "self/cgroup", "0::/system.slice/heygem.service\n")
    service, top = roots.cgroup / "system.slice/heygem.service", roots.cgroup / "system.slice"
    write(service / "memory.max", "max\n")
    write(service / "cpu.max", "max 100000\n")
    write(top / "memory.max", f"{4 * GIB}\n")
    write(top / "memory.current", f"{3 * GIB}\n")
    write(top / "memory.stat", f"anon 5\ninactive_file {GIB}\n")
    write(top / "cpu.max", "50000 100000\n")
    assert (memory_limit(roots), memory_available(roots), usable_cores(roots)) == (4 * GIB, 2 * GIB, 1)


def test_cgroups_of_version_1_count_too(roots: Roots) -> None:
    write(roots.proc / "self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box\n0::/\n")
    write(roots.cgroup / "memory/box/memory.limit_in_bytes", f"{2 * GIB}\n")
    write(roots.cgroup / "memory/box/memory.usage_in_bytes", f"{GIB}\n")
    write(roots.cgroup / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(roots.cgroup / "cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n")
    write(roots.cgroup / "cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    assert (memory_limit(roots), memory_available(roots), usable_cores(roots)) == (2 * GIB, GIB, 1)


def test_a_container_whose_path_is_not_there_has_the_limits_of_its_root(roots: Roots) -> None:
    write(roots.proc / "self/cgroup", "0::/docker/abc\n")
    write(roots.cgroup / "memory.max", f"{GIB}\n")
    write(roots.cgroup / "memory.current", f"{2 * GIB}\n")
    assert (memory_limit(roots), memory_available(roots)) == (GIB, 0)


def test_a_quota_of_no_whole_core_is_one_core(roots: Roots) -> None:
    write(roots.proc / "self/cgroup", "0::/\n")
    for quota in ("1000 100000", "-1 100000", "max 100000", "nonsense"):
        write(roots.cgroup / "cpu.max", f"{quota}\n")
        assert usable_cores(roots) >= 1


def test_a_machine_without_any_of_the_files_has_no_limits(tmp_path: Path) -> None:
    nowhere = Roots(proc=tmp_path, cgroup=tmp_path)
    assert usable_cores(nowhere) >= 1
    assert memory_available(nowhere) > 2**50
    assert card_memory(nowhere) == ()


def test_the_memory_of_cards_is_asked_for_only_where_there_are_cards(roots: Roots) -> None:
    def never() -> str:
        raise AssertionError("there is no card")

    assert card_memory(roots, never) == ()
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (roots.proc / "driver/nvidia/gpus" / card).mkdir(parents=True)
    assert card_memory(roots, lambda: "81559\n24564\n") == (81559 * 2**20, 24564 * 2**20)
    assert card_memory(roots, lambda: "NVIDIA-SMI has failed\n") == (0, 0)
    assert card_memory(roots, lambda: "81559\n") == (0, 0)
    assert read_machine(with_cards=False, roots=roots).card_bytes == ()


def test_this_machine_can_be_read() -> None:
    machine = read_machine(with_cards=False)
    assert machine.cores >= 1
    assert 0 < memory_available() <= machine.memory_bytes < 2**50


def test_processes_of_one_namespace_and_one_start_of_the_system_know_each_other(roots: Roots) -> None:
    assert process_namespace(roots) == ""
    write(roots.proc / "sys/kernel/random/boot_id", "3a7e\n")
    (roots.proc / "self/ns").mkdir(parents=True)
    (roots.proc / "self/ns/pid").symlink_to("pid:[4026531836]")
    assert process_namespace(roots) == "3a7e pid:[4026531836]"
    assert process_namespace() != ""
