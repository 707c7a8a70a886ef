#!/usr/bin/env bash
# Builds the example plugins from source and puts them, each with its sha256 beside it, where the example
# policies look for them: policies/plugins/NAME.wasm and NAME.wasm.sha256. Prints that folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=wasm32-unknown-unknown
built=$root/plugins/target/$target/release
installed=$root/policies/plugins

if ! (cd "$root/plugins" && [ -d "$(rustc --print target-libdir --target $target)" ]); then
    (cd "$root/plugins" && rustup target add $target) >&2
fi

# A 16 KiB stack, so that a fresh instance is two pages and not seventeen.
export RUSTFLAGS="-C link-arg=-zstack-size=16384"
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS
(cd "$root/plugins" && cargo build --quiet --release --target $target) >&2

mkdir -p "$installed"
for module in "$built"/*.wasm; do
    name=$(basename "$module")
    if ! cmp -s "$module" "$installed/$name"; then
        cp "$module" "$installed/$name.new"
        mv "$installed/$name.new" "$installed/$name"
    fi
    (cd "$installed" && sha256sum "$name" | cut -d ' ' -f 1 >"$name.sha256")
done
printf '%s\n' "$installed"
