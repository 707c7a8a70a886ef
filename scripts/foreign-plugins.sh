#!/usr/bin/env bash
# Builds the plugins that are not written in Rust, and prints the folder of the module deny_ddl.wasm:
# `scripts/foreign-plugins.sh c` with clang and lld, which it installs where apt-get can;
# `scripts/foreign-plugins.sh assemblyscript` with Node.js and the compiler that package.json pins.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=${CARGO_TARGET_DIR:-$root/target}/foreign-plugins

has() { command -v "$1" >/dev/null; }

compiler() {
    if ! has clang || ! has wasm-ld; then
        if ! has apt-get || [ "$(id -u)" != 0 ]; then
            echo "clang and wasm-ld are needed: apt-get install clang lld" >&2
            exit 69
        fi
        apt-get install --yes --quiet --no-install-recommends clang lld >&2 ||
            { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends clang lld; } >&2
    fi
}

in_c() {
    compiler
    mkdir -p "$home/c"
    # Without builtins, so that no loop becomes a call of a library that is not there.
    (cd "$root/plugins/c" && clang --target=wasm32 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -nostdlib \
        -Wl,--no-entry -Wl,-z,stack-size=16384 -Wl,--strip-all -o "$home/c/deny_ddl.wasm" deny_ddl.c) >&2
    printf '%s\n' "$home/c"
}

# The compiler is installed beside a copy of the sources, since it looks for itself beside them.
in_assemblyscript() {
    local copy=$home/assemblyscript
    mkdir -p "$copy"
    if ! cmp -s "$root/plugins/assemblyscript/package.json" "$copy/installed.json"; then
        cp "$root/plugins/assemblyscript/package.json" "$copy/"
        npm install --silent --no-audit --no-fund --no-package-lock --prefix "$copy" >&2
        cp "$copy/package.json" "$copy/installed.json"
    fi
    cp "$root"/plugins/assemblyscript/{asconfig.json,deny_ddl.ts,manifest.js,manifest.json} "$copy/"
    (cd "$copy" && npm run --silent build) >&2
    printf '%s\n' "$copy/build"
}

case ${1:-} in
    c) in_c ;;
    assemblyscript) in_assemblyscript ;;
    *) echo "usage: $0 c|assemblyscript" >&2; exit 64 ;;
esac
