# shellcheck shell=bash
# What an installation does with a running systemd: reload it, query it, restart the service and check that it comes up. Sourced.

systemd_runs() { [ -d /run/systemd/system ]; }

reload_systemd() {
    if ! systemd_runs; then
        info "systemd does not run here (a container?): the unit is in place, and is read at the next boot"
        return 0
    fi
    systemctl daemon-reload
    journalctl --update-catalog
}

service_is_up() { systemd_runs && systemctl is-active --quiet heygem; }

# service_runs_another_than RELEASE: a daemon runs, and was started from somewhere else. Its command line names its interpreter.
service_runs_another_than() {
    local main command
    service_is_up || return 1
    main=$(systemctl show --property=MainPID --value heygem)
    IFS= read -r -d '' command <"/proc/$main/cmdline" || return 1
    [[ $command != "$1"/* ]]
}

# Up means: the service sent READY, and it neither failed nor was restarted in the seconds after.
comes_up() {
    systemctl reset-failed heygem 2>/dev/null || true
    systemctl restart heygem || return 1
    sleep 3
    service_is_up && [ "$(systemctl show --property=NRestarts --value heygem)" -eq 0 ]
}

# restart_or_go_back RELEASE BEFORE: with the new one, or, where that does not come up, with the one before.
restart_or_go_back() {
    local release=$1 before=$2
    info "restarting the service (what it works on may take its grace time to finish)"
    if comes_up; then return 0; fi
    info "release ${release##*/} did not come up; the end of its log:"
    journalctl --unit=heygem --no-pager --lines=15 --output=cat >&2 || true
    if [ ! -e "$before/.complete" ] || [ "$before" = "$release" ]; then
        fail "there is no release to go back to: journalctl -u heygem, heygem check"
    fi
    activate "$before"
    reload_systemd
    if comes_up; then
        remove_others "$before"
        fail "went back to release ${before##*/}, which is running. The reason is above, and in journalctl -u heygem."
    fi
    fail "went back to release ${before##*/}, but that does not come up either: journalctl -u heygem, heygem check"
}

# Nobody's work is interrupted: uploads go on where they were.
restart_page() { ! systemd_runs || systemctl try-restart heygem-web || info "the page did not come up: journalctl -u heygem-web"; }
