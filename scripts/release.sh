# shellcheck shell=bash
# A release: /opt/heygem/releases/<fingerprint>, an environment of Python with the program in it, never changed once it is complete.
# Beside it there it keeps `dist`, the files that belong to it elsewhere, so that going back brings those back too. Sourced.


# system_python: the interpreter that the service runs with.
system_python() {
    local python=${PYTHON:-/usr/bin/python3} place
    python=$(command -v "$python") || fail "${PYTHON:-/usr/bin/python3} was not found: apt-get install python3, or name another: PYTHON=..."
    is_new_enough "$python" || fail "$python is $("$python" -V 2>&1); 3.11 or newer is needed (Debian 12 and Ubuntu 24.04 bring one)" \
        "Name another with PYTHON=/usr/bin/python3.12"
    while read -r place; do
        if [[ $place =~ ^/(root|home|run/user|tmp|var/tmp)/ ]]; then
            fail "$python lies in $place, which the service cannot see (its unit hides it)." \
                "Use the python of the system: PYTHON=/usr/bin/python3"
        fi
    done < <("$python" -c 'import os, sys; print(os.path.realpath(sys.executable), os.path.realpath(sys.base_prefix) + "/", sep="\n")')
    printf '%s\n' "$python"
}

# snapshot SCRATCH: the sources as they are now, copied: the checkout may change meanwhile, and gets no files of root.
snapshot() {
    local scratch=$1
    mkdir -p "$scratch/source/weights" "$scratch/dist"
    cp pyproject.toml constraints.txt README.md LICENSE "$scratch/source"
    cp weights/phonetic.safetensors "$scratch/source/weights"
    tar -c --exclude=__pycache__ heygem_daemon | tar -x --no-same-owner -C "$scratch/source"
    stage "$scratch/dist"
}

digest() { sha256sum | cut -c1-16; }

# What the libraries depend on. As long as it stays the same, a new release shares them with the old.
libraries_fingerprint() {
    local print_dependencies='import sys, tomllib; p = tomllib.load(sys.stdin.buffer)["project"]; print(p["dependencies"], p["optional-dependencies"]["web"])'
    { "$1" -VV; realpath "$1"; "$1" -c "$print_dependencies" <"$2/source/pyproject.toml"; cat "$2/source/constraints.txt"; echo "${TORCH_INDEX:-}"; } | digest
}

# fingerprint PYTHON SCRATCH: of everything that a release is made of.
fingerprint() {
    { libraries_fingerprint "$1" "$2"; cat scripts/release.sh; pack "$2"; } | digest
}

pack() { tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -C "$1" source dist; }

# build PYTHON SCRATCH RELEASE: make it, unless it is there and complete. Only a complete one holds `.complete`.
build() {
    local python=$1 scratch=$2 release=$3 libraries
    [ ! -e "$release/.complete" ] || return 0
    libraries=$(libraries_fingerprint "$python" "$scratch")
    rm -rf "$release"
    mkdir -p "$releases"
    if [ -e "$current/.complete" ] && [ "$(cat "$current/.libraries")" = "$libraries" ]; then
        info "release ${release##*/}, with the libraries of $(basename "$(readlink "$current")")"
        take_libraries "$python" "$release"
        pip_install "$release/bin/python" --no-deps --force-reinstall "$scratch/source"
    else
        info "release ${release##*/} with $("$python" -V) (the first time, torch makes this take some minutes)"
        "$python" -m venv "$release"
        pip_install "$release/bin/python" "$scratch/source[web]"
    fi
    "$release/bin/heygem" --version >/dev/null || fail "the program that was installed does not run (see above)"
    compile_kernels "$release"
    cp -r "$scratch/dist" "$release/dist"
    echo "$libraries" >"$release/.libraries"
    touch "$release/.complete"
}

# The service may not write into the release, but loads the machine code from there. -P: the package in the release, not the one here.
compile_kernels() {
    env -u NUMBA_CACHE_DIR "$1/bin/python" -P -m heygem_daemon.lipsync.kernel_setup || fail "the drawing loops do not compile (see above)"
}

# Hard links: gigabytes are shared, not copied. pip replaces files and never writes into them; what venv writes into is left out.
take_libraries() {
    mkdir "$2"
    cp -al "$current"/{include,lib,share} "$2"
    [ ! -L "$current/lib64" ] || cp -a "$current/lib64" "$2"
    "$1" -m venv --without-pip "$2"
}

# activate RELEASE: from the next start on, this is the program. One rename: there is no moment without a program.
activate() {
    local release=$1 before=''
    [ ! -e "$current/dist" ] || before=$(realpath "$current")/dist
    if [ "$(readlink "$current" 2>/dev/null)" != "releases/${release##*/}" ]; then
        ln -sfn "releases/${release##*/}" "$current.new"
        mv -T "$current.new" "$current"
    fi
    lay_out "$release/dist" "" "$before"
}

# remove_others RELEASE: every release but this one.
remove_others() {
    local each
    for each in "$releases"/*; do
        if [ -d "$each" ] && [ "$each" != "$1" ]; then rm -rf "$each"; fi
    done
}
