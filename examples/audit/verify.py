#!/usr/bin/env python3
"""Checks the audit trail that the plugin audit_chain writes to the log: verify.py LOG.. [--head HASH]

Reads the lines of `pgwarden run --log-format json` from files (or `-`), in any order, and recomputes every hash.
Says which record was changed, taken out or put in. A chain that was cut at its end, or made anew as a whole, shows only against a
hash that was written down elsewhere: --head HASH demands that a chain ends there or has passed it.
Ends with 0 if all of it holds, with 1 if not, with 2 if there is nothing to check.
"""

import argparse
import fileinput
import hashlib
import json
import sys

GENESIS = "0" * 64


def read(paths):
    """Records as (hash, text, fields), and what is wrong with lines that are none."""
    records, wrong = [], []
    for line in fileinput.input(paths, encoding="utf-8", errors="replace"):
        try:
            message = json.loads(line).get("message")
        except (ValueError, AttributeError):
            continue  # another line of the same file
        if not isinstance(message, str) or not message.startswith("audit "):
            continue
        digest, _, text = message.removeprefix("audit ").partition(" ")
        try:
            fields = json.loads(text)
            records.append((fields["chain"], fields["seq"], digest, text))
        except (ValueError, KeyError, TypeError):
            wrong.append(f"not a record: {message}")
    return records, wrong


def check(chain, records):
    """What is wrong with the records of one chain."""
    before, expected = GENESIS, 1
    for seq, digest, text in sorted(records):
        if seq < expected:
            yield f"chain {chain}: record {seq} is there twice"
            continue
        if seq > expected:
            yield f"chain {chain}: records {expected} to {seq - 1} are missing"
        elif hashlib.sha256((before + text).encode()).hexdigest() != digest:
            yield f"chain {chain}: record {seq} was changed, or the one before it: {text}"
        before, expected = digest, seq + 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("log", nargs="*", help="files, `-` for standard input")
    arguments.add_argument("--head", action="append", default=[], help="a hash that must be there")
    arguments = arguments.parse_args()
    records, wrong = read(arguments.log)
    chains = {}
    for chain, seq, digest, text in records:
        chains.setdefault(chain, []).append((seq, digest, text))
    for chain, linked in sorted(chains.items()):
        wrong.extend(check(chain, linked))
    known = {digest for _, _, digest, _ in records}
    wrong.extend(f"no record has the hash {head}" for head in arguments.head if head not in known)
    for line in wrong:
        print(line)
    if wrong:
        return 1
    for chain, linked in sorted(chains.items()):
        seq, digest, _ = max(linked)
        print(f"chain {chain}: {seq} records hold, the last is {digest}")
    if not chains:
        print("no records")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
