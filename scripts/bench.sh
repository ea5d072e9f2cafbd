#!/usr/bin/env bash
# Measures training and inference speed on this machine, on random data.
set -euo pipefail
cd "$(dirname "$0")/.."

apus=.build/release/apus
if [ ! -x "$apus" ]; then
    echo "$apus is not built; run 'make build' first" >&2
    exit 1
fi
"$apus" doctor
"$apus" bench train --model resnet20-cifar --batch 128 --steps 10
"$apus" bench train --model resnet18-cifar --batch 128 --steps 5
"$apus" bench train --model resnet50 --batch 32 --steps 3
for batch in 1 16; do
    "$apus" bench infer --model resnet18 --batch "$batch" --steps 10
    "$apus" bench infer --model resnet50 --batch "$batch" --steps 10
done
