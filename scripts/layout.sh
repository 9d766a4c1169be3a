# shellcheck shell=bash
# Where an installation lies, and `stage`: all of it but the program itself, put together under some root. Sourced.

prefix=${PREFIX:-/usr/local}
# systemd looks for units, users, folders and its catalog under /usr/lib and /usr/local/lib alone (252: `systemctl show -p UnitPath`,
# sysusers.d(5), tmpfiles.d(5)); with another prefix they go to the second.
case $prefix in
/usr | /usr/local) lib=$prefix/lib ;;
*) lib=/usr/local/lib ;;
esac
program_folder=/opt/heygem
releases=$program_folder/releases
current=$program_folder/venv
config=/etc/heygem/heygem.toml
state=/var/lib/heygem
cache=/var/cache/heygem
web_state=/var/lib/heygem-web
# shellcheck disable=SC2034 # used by those who source this
web_cache=/var/cache/heygem-web
inbox=/srv/heygem/inbox
outputs=/srv/heygem/outputs

# put SOURCE TARGET: a file for everybody to read.
put() { install -D -m 644 "$1" "$2"; }

# stage ROOT: every installed file, as it will lie under /.
stage() {
    local root=$1 share=$1$prefix/share example
    put systemd/heygem.service "$root$lib/systemd/system/heygem.service"
    put systemd/heygem-web.service "$root$lib/systemd/system/heygem-web.service"
    put systemd/heygem.sysusers "$root$lib/sysusers.d/heygem.conf"
    put systemd/heygem.tmpfiles "$root$lib/tmpfiles.d/heygem.conf"
    [ ! -e systemd/heygem.catalog ] || put systemd/heygem.catalog "$root$lib/systemd/catalog/heygem.catalog"
    put share/man/heygem.1 "$share/man/man1/heygem.1"
    put share/completion/heygem.bash "$share/bash-completion/completions/heygem"
    put share/completion/heygem.zsh "$share/zsh/site-functions/_heygem"
    put share/completion/heygem.fish "$share/fish/vendor_completions.d/heygem.fish"
    for example in config/*; do put "$example" "$share/doc/heygem/${example##*/}"; done
    mkdir -p "$root$prefix/bin"
    ln -sfn "$current/bin/heygem" "$root$prefix/bin/heygem"
}

# stage_config ROOT: the configuration, never over one that is there.
stage_config() {
    local target=$1$config
    [ ! -e "$target" ] || return 0
    install -d -m 755 "${target%/*}"
    sed -e "s|^#inboxes = .*|inboxes = [\"$inbox\"]|" -e "s|^#outputs = .*|outputs = \"$outputs\"|" config/heygem.toml >"$target.new"
    chmod 644 "$target.new"
    mv "$target.new" "$target"
}

# files_of TREE: what lies in it, as absolute paths.
files_of() { [ ! -d "$1" ] || (cd "$1" && find . -type f -o -type l) | sed 's|^\.||' | sort; }

# same ONE OTHER: whether two files, or two links, are alike.
same() {
    if [ -L "$1" ] || [ -L "$2" ]; then
        [ -L "$1" ] && [ -L "$2" ] && [ "$(readlink "$1")" = "$(readlink "$2")" ]
    else
        cmp -s "$1" "$2"
    fi
}

# lay_out TREE ROOT [BEFORE]: bring ROOT to what TREE holds; remove what BEFORE held and TREE does not. What is alike is not touched.
lay_out() {
    local tree=$1 root=$2 before=${3:-} file
    while read -r file; do
        if same "$tree$file" "$root$file"; then continue; fi
        mkdir -p "$root${file%/*}"
        cp -P --preserve=mode "$tree$file" "$root$file.new"
        mv -T "$root$file.new" "$root$file"
    done < <(files_of "$tree")
    [ -n "$before" ] || return 0
    comm -13 <(files_of "$tree") <(files_of "$before") | take_away "$root"
}

# take_away ROOT: remove the files named on stdin, and folders of our own that are empty then.
take_away() {
    local root=$1 file
    while read -r file; do rm -f "$root$file"; done
    [ ! -d "$root$prefix/share/doc/heygem" ] || rmdir --ignore-fail-on-non-empty "$root$prefix/share/doc/heygem"
}
