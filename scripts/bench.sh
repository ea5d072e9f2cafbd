#!/usr/bin/env bash
# Measures training and inference speed on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

apus=.build/release/apus
if [ ! -x "$apus" ]; then
    echo "$apus is not built; run 'make build' first" >&2
    exit 1
fi
for what in train infer data; do "$apus" bench "$what"; done
