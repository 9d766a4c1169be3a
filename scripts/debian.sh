# shellcheck shell=bash
# Common to setup.sh and install.sh: messages, Debian packages, and the parts of Python that Debian splits off. Sourced.
# The script that sources it sets its name in `program`.

# One entry per need; alternatives by "|" are names of the same thing in different releases, the newest first.
# shellcheck disable=SC2034  # used by those who source this
runtime_packages=(
    ffmpeg                        # reads and writes every media file
    espeak-ng                     # the pronunciation of the words of a script
    "libgl1" "libglib2.0-0t64|libglib2.0-0"   # opencv-python opens them
    gcc libc6-dev pkg-config libsystemd-dev   # systemd-python comes as source only
)

info() { printf '== %s\n' "$*"; }
fail() { printf "${program:?}: %s\n" "$@" >&2; exit 1; }

# again TRIES COMMAND...: for commands that need the network.
again() {
    local tries=$1 try
    shift
    for ((try = 1; ; try++)); do
        "$@" && return 0
        ((try < tries)) || return 1
        printf '%s: that failed; trying again in %s s\n' "$program" $((5 * try)) >&2
        sleep $((5 * try))
    done
}

# -- Debian packages ---------------------------------------------------------------------------------------------------

is_debian() { command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; }

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
    info "Debian packages: ${*//|*/}"
    again 3 apt update -qq || fail "apt-get update failed; check the network and /etc/apt, then run it again"
    for need in "$@"; do names+=("$(available "$need")"); done
    again 3 apt install -y --no-install-recommends "${names[@]}" || fail "apt-get install failed (see above); fix it, then run it again"
}

ensure_debian_packages() {
    local need missing=()
    for need in "$@"; do is_installed "$need" || missing+=("$need"); done
    [ ${#missing[@]} -eq 0 ] || install_debian "${missing[@]}"
}

# Other systems are not set up by these scripts, but may have everything already.
ensure_programs() {
    local name missing=()
    for name in "$@"; do command -v "$name" >/dev/null || missing+=("$name"); done
    [ ${#missing[@]} -eq 0 ] || fail "this is not Debian or Ubuntu, and these programs are missing: ${missing[*]}" \
        "Install them with your package manager (and the headers of libsystemd), then run it again."
}

# -- Python ------------------------------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

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

# pip_install PYTHON WORDS...: into the environment of that interpreter, in the versions the project is tested with.
pip_install() {
    local python=$1 quiet=
    shift
    [ -t 1 ] || quiet=--quiet
    again 3 "$python" -m pip install --disable-pip-version-check --no-input --retries 5 $quiet \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt "$@" ||
        fail "pip could not install the package (the reason is above)." \
            "If it is the network or a proxy: fix it and run it again; what was fetched is kept." \
            "Behind a company index: set PIP_INDEX_URL=https://..."
}
