#!/usr/bin/env bash
# Client drivers that the tests run against the proxy, installed under target/drivers when missing.
# `scripts/drivers.sh python` prints an interpreter with psycopg 3 and asyncpg;
# `scripts/drivers.sh node` prints a folder whose node_modules holds node-postgres.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=${CARGO_TARGET_DIR:-$root/target}/drivers

python_drivers() {
    if [ ! -e "$home/python/ready" ]; then
        rm -rf "$home/python"
        mkdir -p "$home"
        python3 -m venv "$home/python"
        "$home/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            'psycopg[binary]==3.*' 'asyncpg==0.*' >&2
        touch "$home/python/ready"
    fi
    printf '%s\n' "$home/python/bin/python"
}

node_drivers() {
    if [ ! -e "$home/node/ready" ]; then
        rm -rf "$home/node"
        mkdir -p "$home/node"
        npm install --silent --no-audit --no-fund --no-save --prefix "$home/node" 'pg@8' >&2
        touch "$home/node/ready"
    fi
    printf '%s\n' "$home/node"
}

case ${1:-} in
    python) python_drivers ;;
    node) node_drivers ;;
    *) echo "usage: $0 python|node" >&2; exit 64 ;;
esac
