#!/usr/bin/env bash
# A computer for tests: a real systemd as process 1 of namespaces of its own, over this machine's root file system.
# Written files are in memory; folders that outlast the computer, or are read from outside, are bound into it. Needs root.
#
#   machine.sh disk DIR                                       keeps what one computer wrote, for all its boots, until killed
#   machine.sh boot DIR [--cgroup DIR]... [--bind FROM:TO]... [--layer DIR]... [--host-network]
#                                                             in the mount namespace of the disk: one boot, until killed
#
# A layer is a folder of the host, visible at its own path even below /tmp or on another file system; writes go to the disk.
# The host keeps its kernel settings, its clock and its cgroups; the computer gets cgroups below the given ones.
set -euo pipefail

# Units that reach for the host's kernel, devices or clock, would wait for hardware, or would empty /tmp under the tests.
foreign_units=(
    systemd-{sysctl,modules-load,remount-fs,udevd,udev-trigger,timesyncd,logind,networkd,networkd-wait-online,resolved}.service
    systemd-{binfmt,random-seed,pstore,tmpfiles-setup,tmpfiles-setup-dev,tmpfiles-clean}.service systemd-journald-audit.socket
    sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount dev-hugepages.mount
    proc-sys-fs-binfmt_misc.{automount,mount} network-online.target
)

keep_disk() {
    mount -t tmpfs -o mode=755,size=2g box-disk "$1"
    mkdir "$1"/{upper,work,root}
    touch "$1/made"
    exec sleep infinity
}

# After --cgroup the new cgroup namespace sees these as its roots.
leave_host() {
    local disk=$1 cgroup network=--net
    shift
    for cgroup in "${cgroups[@]}"; do echo $$ >"$cgroup/cgroup.procs"; done
    [ "$host_network" = no ] || network=
    # shellcheck disable=SC2086  # no word at all where the network is the host's
    exec unshare --mount --propagation private --pid --uts --ipc --cgroup $network --fork --kill-child=KILL \
        "$0" first-process "$disk/root" "$network" ${binds[@]+"${binds[@]}"}
}

mount_cgroups() {
    local top=$1/sys/fs/cgroup name
    if [ ! -d /sys/fs/cgroup/memory ]; then
        mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$top"
        return
    fi
    mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$top"
    for name in systemd unified memory pids devices cpu cpuacct blkio freezer; do
        [ -d "/sys/fs/cgroup/$name" ] || continue
        mkdir "$top/$name"
        case $name in
            systemd) mount -t cgroup -o none,name=systemd cgroup "$top/$name" ;;
            unified) mount -t cgroup2 cgroup2 "$top/$name" ;;
            *) mount -t cgroup -o "$name" cgroup "$top/$name" ;;
        esac
    done
}

mount_kernel() {
    local root=$1
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys"
    if [ -e "$root/proc/sysrq-trigger" ]; then mount --bind /dev/null "$root/proc/sysrq-trigger"; fi
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
    mount_cgroups "$root"
}

mount_devices() {
    local root=$1 node
    mount -t tmpfs -o mode=755,nosuid,size=64m tmpfs "$root/dev"
    for node in /dev/{null,zero,full,random,urandom,tty,fuse} /dev/nvidia*; do
        [ -c "$node" ] || continue
        touch "$root$node"
        mount --bind "$node" "$root$node"
    done
    mkdir "$root"/dev/{pts,shm,mqueue}
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin"
    ln -s fd/1 "$root/dev/stdout"
    ln -s fd/2 "$root/dev/stderr"
}

mount_layer() {
    local root=$1 folder=$2 layer=${1%/*}/layer${2//\//-}
    mkdir -p "$root$folder" "$layer"/{upper,work}
    mount -t overlay -o "lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work" layer "$root$folder"
}

mount_binds() {
    local root=$1 bind
    shift
    for bind in "$@"; do
        if [[ $bind != *:* ]]; then
            mount_layer "$root" "$bind"
            continue
        fi
        mkdir -p "$root${bind#*:}"
        mount --rbind "${bind%%:*}" "$root${bind#*:}"
    done
}

# The journal outlasts a boot and forgets nothing under load; the target is what a boot waits for.
write_units() {
    local units=$1/run/systemd/system journald=$1/run/systemd/journald.conf.d unit timer
    mkdir -p "$units" "$journald" "$1/var/log/journal"
    for unit in "${foreign_units[@]}"; do ln -s /dev/null "$units/$unit"; done
    for timer in "$1"/{etc,usr/lib}/systemd/system/timers.target.wants/*; do
        if [ -L "$timer" ]; then ln -sf /dev/null "$units/${timer##*/}"; fi
    done
    cat >"$journald/box.conf" <<END
[Journal]
Storage=persistent
SystemMaxUse=256M
RateLimitIntervalSec=0
RateLimitBurst=0
Audit=
ReadKMsg=no
END
    cat >"$units/box.target" <<END
[Unit]
Description=The box is up
Requires=basic.target
After=basic.target
AllowIsolate=yes
END
}

# Becomes process 1: from here on only systemd decides.
first_process() {
    local root=$1 network=$2 names
    shift 2
    names=$(cat /etc/resolv.conf 2>/dev/null || true)
    mount -t overlay -o "lowerdir=/,upperdir=${root%/*}/upper,workdir=${root%/*}/work" box "$root"
    mount_kernel "$root"
    mount_devices "$root"
    mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
    mount_binds "$root" "$@"
    write_units "$root"
    if [ -z "$network" ]; then
        rm -f "$root/etc/resolv.conf"
        printf '%s\n' "$names" >"$root/etc/resolv.conf"
    else
        ip link set lo up 2>/dev/null || true # without iproute2 systemd does it
    fi
    cd "$root"
    mkdir -p .host
    pivot_root . .host
    exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /bin/sh -c 'umount -l /.host
        mount --make-rshared / # so that a share that is mounted later shows in the service too
        exec /lib/systemd/systemd --system --unit=box.target --log-target=journal --log-level=info --show-status=no --crash-reboot=no'
}

command=$1 disk=$2
shift 2
case $command in
    disk) keep_disk "$disk" ;;
    first-process) first_process "$disk" "$@" ;;
    boot)
        cgroups=() binds=() host_network=no
        while [ $# -gt 0 ]; do
            case $1 in
                --cgroup) cgroups+=("$2") && shift 2 ;;
                --bind | --layer) binds+=("$2") && shift 2 ;;
                --host-network) host_network=yes && shift ;;
            esac
        done
        leave_host "$disk"
        ;;
esac
