#!/usr/bin/env bash
# Removes the service and its program: `sudo make uninstall`. The configuration, the ledger and everybody's files stay; their places are printed.
#
#   PREFIX, DESTDIR             as at the installation
#   PURGE=1                     also the configuration, the ledger, the model files and the cache; never the inboxes and outputs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=uninstall
# shellcheck source=scripts/debian.sh
. scripts/debian.sh
# shellcheck source=scripts/layout.sh
. scripts/layout.sh
# shellcheck source=scripts/service.sh
. scripts/service.sh

root=${DESTDIR:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What this checkout would install, and what the installed release brought.
remove_files() {
    stage "$scratch"
    sort -u <(files_of "$scratch") <(files_of "$root$current/dist") | take_away "$root"
    rm -rf "$root$releases" "$root$current"
    rmdir "$root$program_folder" 2>/dev/null || true
}

purge() {
    rm -rf "$root${config%/*}" "$root$state" "$root$cache" "$root$web_state" "$root$web_cache" "$root"/etc/systemd/system/heygem{,-web}.service.d
    info "removed too: ${config%/*}, $state, $cache, $web_state, $web_cache and drop-ins of the units"
}

print_kept() {
    local kept=() each
    for each in "${config%/*}" "$state" "$cache" "$web_state" "$web_cache"; do [ ! -e "$root$each" ] || kept+=("$each"); done
    if [ ${#kept[@]} -gt 0 ]; then
        info "kept: ${kept[*]}; sudo make uninstall PURGE=1 removes them (or: rm -r ${kept[*]})"
    fi
    info "kept in any case: ${inbox%/*} with the inputs and results, the users heygem and heygem-web and the group heygem-users, to whom they belong"
}

[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "this changes the system and needs root: sudo make uninstall"
if [ -z "$root" ] && systemd_runs && [ -e "$lib/systemd/system/heygem.service" ]; then
    systemctl disable --now --quiet heygem-web 2>/dev/null || true # an older release has none
    systemctl disable --now --quiet heygem
fi
remove_files
[ -n "$root" ] || reload_systemd
[ "${PURGE:-}" != 1 ] || purge
print_kept
