#!/usr/bin/env bash
# Installs the service, brings it up to date, or removes it: `sudo make install`, `upgrade`, `uninstall` (docs/installation.md).
# Safe to run again and again; does only what is missing, and never touches the configuration, the ledger or anybody's files.
#
#   PREFIX=/usr/local           where the command, the manual and the unit go; the program itself is always under /opt/heygem
#   DESTDIR=FOLDER              put the files there instead of /: no program, no users, no network, no root
#   PYTHON=/usr/bin/python3     the interpreter that the service runs with
#   TORCH_INDEX=URL             a further package index for torch, e.g. the one of its smaller CPU-only builds
#   PURGE=1                     uninstall removes the configuration, the ledger, the model files and the cache too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

program=install
# shellcheck source=scripts/debian.sh
. scripts/debian.sh
# shellcheck source=scripts/layout.sh
. scripts/layout.sh
# shellcheck source=scripts/release.sh
. scripts/release.sh
# shellcheck source=scripts/service.sh
. scripts/service.sh

require_root() {
    [ "$(id -u)" -eq 0 ] || fail "this changes the system and needs root: sudo make $1" "To only look at the files: make install DESTDIR=/tmp/heygem"
}

ensure_system() {
    if is_debian; then
        ensure_debian_packages ca-certificates python3 "systemd|systemd-standalone-sysusers" "${runtime_packages[@]}"
    else
        ensure_programs ffmpeg ffprobe espeak-ng gcc pkg-config systemd-sysusers systemd-tmpfiles
    fi
}

# -- Users, folders, models --------------------------------------------------------------------------------------------

# as_service COMMAND...: root does not write where another user may have laid links.
as_service() { as_user heygem "$@"; }
as_user() { local user=$1 && shift && runuser -u "$user" -- env HOME="$cache" XDG_CACHE_HOME="$cache" NUMBA_CACHE_DIR="$cache/numba" MPLCONFIGDIR="$cache/matplotlib" "$@"; }

ensure_people_and_folders() {
    local group
    systemd-sysusers "$lib/sysusers.d/heygem.conf"
    # Where the device files of graphics cards belong to these. A sysusers.d line would make the groups where there are none.
    for group in video render; do
        if getent group "$group" >/dev/null && ! id -nG heygem | grep -qw "$group"; then usermod -aG "$group" heygem; fi
    done
    systemd-tmpfiles --create "$lib/tmpfiles.d/heygem.conf"
}

# Right ones that lie in the checkout are taken; the rest is fetched, by root (who knows the proxy), and put there by the service's user.
ensure_models() {
    local scratch=$1/models
    models_are_right as_service "$state/weights" && return 0
    mkdir -p "$scratch"
    cp weights/*.tflite "$scratch" 2>/dev/null || true
    if ! models_are_right env "$scratch"; then
        info "the model files"
        HEYGEM_CONFIG=/dev/null "$current/bin/heygem" models fetch --weights "$scratch" || fail "the model files could not be fetched (see above)"
    fi
    chmod 755 "$1" # for the service's user to read
    as_service cp "$scratch"/*.tflite "$state/weights"
}

# The page checks faces with copies of its own: the folder of the service is closed to it.
ensure_models_of_page() {
    local name copy
    for name in face_detection_short_range.tflite face_landmark.tflite; do
        copy=$web_state/weights/$name
        cmp -s "$state/weights/$name" "$copy" && continue
        as_service cat "$state/weights/$name" | as_user heygem-web tee "$copy.new" >/dev/null
        as_user heygem-web mv "$copy.new" "$copy"
    done
}

models_are_right() { HEYGEM_CONFIG=/dev/null "$1" "$current/bin/heygem" models verify --weights "$2" >/dev/null 2>&1; }

# The inbox gets its marker at the first installation only: an administrator may have taken it away since.
ensure_config() {
    [ ! -e "$config" ] || return 0
    as_service "$current/bin/heygem" init-inbox "$inbox" >/dev/null
    stage_config ""
}

# -- The three commands ------------------------------------------------------------------------------------------------

prepare() {
    exec 9>/run/heygem-install.lock
    flock 9 # two at once: the second waits, and finds everything done
    ensure_system
    python=$(system_python) || exit 1
    ensure_python_parts "$python"
    snapshot "$scratch"
    release=$releases/$(fingerprint "$python" "$scratch")
    before=$(realpath "$current" 2>/dev/null || true)
    build "$python" "$scratch" "$release"
}

put_in_place() {
    activate "$1"
    ensure_people_and_folders
    ensure_models "$scratch"
    ensure_models_of_page
    ensure_config
    reload_systemd
}

do_install() {
    if [ -n "${DESTDIR:-}" ]; then
        stage "$DESTDIR"
        stage_config "$DESTDIR"
        info "the files lie in $DESTDIR; the program, the users and the model files come with an installation without DESTDIR"
        return 0
    fi
    require_root install
    prepare
    put_in_place "$release"
    if service_runs_another_than "$release"; then
        info "the service still runs the release before this one; sudo make upgrade restarts it with the new one"
    else
        remove_others "$release"
    fi
    print_next_steps
}

do_upgrade() {
    [ -z "${DESTDIR:-}" ] || fail "an upgrade has no DESTDIR: make install DESTDIR=$DESTDIR"
    require_root upgrade
    [ -e "$current/.complete" ] || fail "there is no installation in $program_folder yet: sudo make install"
    prepare
    put_in_place "$release"
    if service_runs_another_than "$release"; then
        restart_or_go_back "$release" "$before"
    fi
    restart_page
    remove_others "$release"
    info "release ${release##*/} is installed$(service_is_up && echo ' and running')"
}

print_next_steps() {
    printf '\n%s\n' "heygem is installed. Next:"
    printf '  %s\n' "sudo systemctl enable --now heygem-web heygem" "sudo heygem check" "journalctl -fu heygem" \
        "the page: http://127.0.0.1:7860 (for other computers: docs/web.md)"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case ${1:-install} in
install) do_install ;;
upgrade) program=upgrade && do_upgrade ;;
*) fail "usage: scripts/install.sh install|upgrade" ;;
esac
