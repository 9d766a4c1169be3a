#!/usr/bin/env bash
# Makes a checkout ready to run: Debian packages, .venv, the package with its development tools, the model files.
# Safe to run again and again; does only what is missing. Called by `make setup`, and so by `make demo` and `make test`.
#
#   --training                  also the voices and sentences that `make train-driver` speaks
#   PYTHON=python3.12           which interpreter .venv is made with (3.11 or newer)
#   TORCH_INDEX=URL             a further package index for torch, e.g. the one of its smaller CPU-only builds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/.set-up
# One entry per need; alternatives by "|" are names of the same thing in different releases, the newest first.
debian_packages=(
    git ca-certificates
    ffmpeg                        # reads and writes every media file
    espeak-ng                     # speaks in the demo and in the tests
    "libgl1" "libglib2.0-0t64|libglib2.0-0"   # opencv-python opens them
    gcc libc6-dev pkg-config libsystemd-dev   # systemd-python comes as source only
)

# Recorded voices and instruments under permissive licences, and sentences in nine languages for the voices to say.
training_packages=(
    flite festival festlex-cmu festlex-poslex festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festvox-ru
    fortunes fortunes-min fortunes-br fortunes-cs fortunes-de fortunes-es fortunes-it fortunes-pl fortunes-ru fortunes-zh
    fluidsynth fluid-soundfont-gm
)

say() { printf '== %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# again TRIES COMMAND...: for what a network can spoil.
again() {
    local tries=$1 try
    shift
    for ((try = 1; ; try++)); do
        "$@" && return 0
        ((try < tries)) || return 1
        printf 'setup: that failed; trying again in %s s\n' $((5 * try)) >&2
        sleep $((5 * try))
    done
}

# -- Debian packages ---------------------------------------------------------------------------------------------------

is_installed() {
    local name
    for name in ${1//|/ }; do
        dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed && return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif [ -t 0 ]; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo --non-interactive env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

may_install() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo --non-interactive true 2>/dev/null; }; }
}

apt() { as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"; }

# The first of the alternatives that this release has.
available() {
    local name
    for name in ${1//|/ }; do
        apt-cache show "$name" >/dev/null 2>&1 && break
    done
    printf '%s\n' "$name"
}

install_debian() {
    local need names=()
    may_install || fail "these Debian packages are missing: ${*//|*/}" \
        "Installing them needs root, or sudo. Ask an administrator to run:" \
        "  apt-get install --no-install-recommends ${*//*|/}"
    say "Debian packages: ${*//|*/}"
    again 3 apt update -qq || fail "apt-get update failed; check the network and /etc/apt, then run it again"
    for need in "$@"; do names+=("$(available "$need")"); done
    again 3 apt install -y --no-install-recommends "${names[@]}" || fail "apt-get install failed (see above); mend it, then run it again"
}

ensure_debian_packages() {
    local need missing=()
    for need in "$@"; do is_installed "$need" || missing+=("$need"); done
    [ ${#missing[@]} -eq 0 ] || install_debian "${missing[@]}"
}

# Other systems are not set up by this script, but may have everything already.
ensure_programs() {
    local name missing=()
    for name in git ffmpeg ffprobe espeak-ng gcc pkg-config; do command -v "$name" >/dev/null || missing+=("$name"); done
    [ ${#missing[@]} -eq 0 ] || fail "this is not Debian or Ubuntu, and these programs are missing: ${missing[*]}" \
        "Install them with your package manager (and the headers of libsystemd), then run it again."
}

ensure_system() {
    if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
        ensure_debian_packages "${debian_packages[@]}"
    else
        ensure_programs
    fi
}

# -- Python ------------------------------------------------------------------------------------------------------------

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    fail "Python 3.11 or newer is needed, and none was found (looked for: ${PYTHON:-python3 python3.13 python3.12 python3.11})." \
        "Debian 12 and Ubuntu 24.04 bring one: apt-get install python3" \
        "On Ubuntu 22.04: apt-get install python3.11 python3.11-dev python3.11-venv, then run it again."
}

# Debian splits venv and the C headers off the interpreter; one from elsewhere has both.
ensure_python_parts() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_debian "python$version-venv|python3-venv"
    fi
    if ! "$python" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null; then
        install_debian "python$version-dev|python3-dev"
    fi
}

ensure_venv() {
    local python
    # The programs in a .venv name its folder: after a move they are of no use.
    if grep -qsF "$(pwd -P)/$venv" "$venv/bin/activate" && "$venv/bin/python" -c 'import pip' 2>/dev/null; then return 0; fi
    python=$(find_python) || exit 1
    ensure_python_parts "$python"
    say "$venv with $("$python" -V)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

pip_install() {
    local quiet=
    [ -t 1 ] || quiet=--quiet
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --retries 5 $quiet \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt -e '.[dev]'
}

# What the installation depends on; the folder too, because an editable installation names it.
fingerprint() {
    { pwd; cat pyproject.toml constraints.txt scripts/setup.sh; } | sha256sum | cut -d' ' -f1
}

ensure_package() {
    ensure_venv
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; then return 0; fi
    say "the package and its tools (the first time, torch makes this take some minutes)"
    again 3 pip_install || fail "pip could not install the package (the reason is above)." \
        "If it is the network or a proxy: mend it and run it again; what was fetched is kept." \
        "Behind a company index: PIP_INDEX_URL=https://... make setup"
    warm_up
    fingerprint >"$stamp"
}

# librosa compiles parts of itself at its first use (8 s and more); done here, the first worker does not stand there "queued" for it.
warm_up() {
    "$venv/bin/python" -c "import librosa; librosa.filters.mel(sr=16000, n_fft=512, n_mels=80)"
}

ensure_models() {
    "$venv/bin/python" -m heygem_daemon models verify --weights weights >/dev/null 2>&1 && return 0
    say "the model files"
    "$venv/bin/python" -m heygem_daemon models fetch --weights weights
}

mkdir -p .cache
exec 9>.cache/setup.lock
flock 9 # two makes at once: the second waits, and finds everything done
ensure_system
ensure_package
ensure_models
if [ "${1:-}" = --training ]; then ensure_debian_packages "${training_packages[@]}"; fi
