#!/usr/bin/env bash
# Makes a checkout ready to run: Debian packages, .venv, the package with its development tools, the model files, compiled kernels.
# Safe to run again and again; does only what is missing. Called by `make setup`, and so by `make demo` and `make test`.
#
#   --training                  also the voices and sentences that `make train-driver` speaks
#   --testing                   also the programs that `make test` tests an installation with
#   PYTHON=python3.12           which interpreter .venv is made with (3.11 or newer)
#   TORCH_INDEX=URL             a further package index for torch, e.g. the one of its smaller CPU-only builds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=setup
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

venv=.venv
stamp=$venv/.set-up
# What the tests of an installation need: the real programs that read its files, servers of network shares, and a browser for the page.
testing_packages=(
    systemd shellcheck mandoc zsh fish acl iproute2 samba samba-vfs-modules smbclient sshfs openssh-server rsync procps curl
    chromium fonts-noto-cjk
)
testing_servers=(samba-ad-dc smbd nmbd winbind ssh) # units that come along

# Recorded voices under permissive licences, and sentences in nine languages for the voices to speak.
training_packages=(
    flite festival festlex-cmu festlex-poslex festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festvox-ru
    fortunes fortunes-min fortunes-br fortunes-cs fortunes-de fortunes-es fortunes-it fortunes-pl fortunes-ru fortunes-zh
)

ensure_system() {
    if is_debian; then
        ensure_debian_packages git ca-certificates "${runtime_packages[@]}"
    else
        ensure_programs git ffmpeg ffprobe espeak-ng gcc pkg-config
    fi
}

# Servers are needed for their programs only: one that was not installed before is stopped, and does not start at boot.
ensure_testing_packages() {
    local unit idle=()
    is_debian || return 0
    for unit in "${testing_servers[@]}"; do systemctl is-enabled --quiet "$unit" 2>/dev/null || idle+=("$unit"); done
    ensure_debian_packages "${testing_packages[@]}"
    for unit in "${idle[@]}"; do
        if systemctl is-enabled --quiet "$unit" 2>/dev/null; then
            systemctl disable --now "$unit" >/dev/null 2>&1 || systemctl disable "$unit" >/dev/null 2>&1 || true
        fi
    done
}

# -- Python ------------------------------------------------------------------------------------------------------------

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$name" >/dev/null && is_new_enough "$name"; then
            command -v "$name"
            return 0
        fi
    done
    fail "Python 3.11 or newer is needed, and none was found (looked for: ${PYTHON:-python3 python3.13 python3.12 python3.11})." \
        "Debian 12 and Ubuntu 24.04 bring one: apt-get install python3" \
        "On Ubuntu 22.04: apt-get install python3.11 python3.11-dev python3.11-venv, then run it again."
}

ensure_venv() {
    local python
    # The programs in a .venv name its folder: after a move they do not work.
    if grep -qsF "$(pwd -P)/$venv" "$venv/bin/activate" && "$venv/bin/python" -c 'import pip' 2>/dev/null; then return 0; fi
    python=$(find_python) || exit 1
    ensure_python_parts "$python"
    info "$venv with $("$python" -V)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

# What the installation depends on; the folder too, because an editable installation names it.
fingerprint() {
    { pwd; cat pyproject.toml constraints.txt scripts/setup.sh scripts/debian.sh; } | sha256sum | cut -d' ' -f1
}

ensure_package() {
    ensure_venv
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; then return 0; fi
    info "the package and its tools (the first time, torch makes this take some minutes)"
    pip_install "$venv/bin/python" --no-compile -e '.[dev,web]'
    compile_libraries
    fingerprint >"$stamp"
}

# pip compiles one file after the other, for most of a minute; here every core does. A few files are templates, or for other versions.
compile_libraries() {
    "$venv/bin/python" -m compileall -qq -j 0 -x '/tests?/' "$venv"/lib/python*/site-packages || true
}

ensure_models() {
    "$venv/bin/python" -m heygem_daemon models verify --weights weights >/dev/null 2>&1 && return 0
    info "the model files"
    "$venv/bin/python" -m heygem_daemon models fetch --weights weights
}

# What every start would do otherwise: byte code, where PYTHONDONTWRITEBYTECODE keeps Python from writing it, and machine code.
ensure_compiled() {
    "$venv/bin/python" -m compileall -q heygem_daemon
    "$venv/bin/python" -m heygem_daemon.lipsync.kernel_setup
}

mkdir -p .cache
exec 9>.cache/setup.lock
flock 9 # two makes at once: the second waits, and finds everything done
ensure_system
ensure_venv
testing=
if [ "${1:-}" = --testing ] && [ "$(id -u)" -eq 0 ]; then # beside pip, which keeps one core busy; where nobody types a password for sudo
    ensure_testing_packages &
    testing=$!
fi
ensure_package
ensure_models
ensure_compiled
case ${1:-} in
--training) ensure_debian_packages "${training_packages[@]}" ;;
--testing) if [ -n "$testing" ]; then wait "$testing"; else ensure_testing_packages; fi ;;
esac
