#!/usr/bin/env bash
# Removes what `make demo` and `make demo-web` made: the sample's results and inputs (demo, demo-2, ...), and the ledger, logs and cache of the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! flock --nonblock --conflict-exit-code 1 .cache/state/daemon.lock true 2>/dev/null && [ -e .cache/state/daemon.lock ]; then
    echo "demo-clean: a daemon still works with .cache/state; stop it first" >&2
    exit 1
fi
for folder in inbox inbox/_done inbox/_failed outputs; do
    [ -d "$folder" ] || continue
    find "$folder" -mindepth 1 -maxdepth 1 -regextype posix-extended -regex '.*/demo(-[0-9]+)?' -exec rm -rf {} +
done
# What was interrupted in the middle; its folder bears the job's id.
if [ -d inbox/.heygem/claimed ]; then
    find inbox/.heygem/claimed -mindepth 1 -maxdepth 1 -regextype posix-extended -regex '.*/[0-9]+-[0-9]+-demo(-[0-9]+)?-[0-9a-f]+' -exec rm -rf {} +
fi
rm -rf .cache/state .cache/demo .cache/web .cache/presenters outputs/status.json inbox/.heygem-uploads
