#!/usr/bin/env bash
# Trains a small residual network on Fashion-MNIST, evaluates it and classifies one picture.
set -euo pipefail
cd "$(dirname "$0")/.."

apus=.build/release/apus
out=runs/demo
if [ ! -x "$apus" ]; then
    echo "$apus is not built; run 'make build' first" >&2
    exit 1
fi

step() {
    printf '\n$ %s\n' "$*"
    "$@"
}

step "$apus" train --data fashion-mnist --model resnet20-cifar \
    --epochs "${EPOCHS:-1}" --batch 128 --seed 1 --out "$out"
step "$apus" evaluate "$out"

picture="${1:-}"
if [ -n "$picture" ]; then
    step "$apus" classify --model "$out" "$picture"
else
    echo
    echo "To classify a picture of your own: bash scripts/demo.sh PICTURE"
fi
