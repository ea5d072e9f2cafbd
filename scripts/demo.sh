#!/usr/bin/env bash
# Trains a small residual network on Fashion-MNIST, evaluates it and shows what it says on pictures
# it has never seen. A second call continues where the first was stopped, or only shows the results.
#
#   bash scripts/demo.sh [PICTURE...]      EPOCHS=4 OUT=runs/demo
set -euo pipefail
cd "$(dirname "$0")/.."

apus=.build/release/apus
# Threads that wait for each other give way sooner: 1.5 times as fast where another program is running,
# a few percent slower where none is.
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-3000}"
out=${OUT:-runs/demo}
if [ ! -x "$apus" ]; then
    echo "$apus is not built; run 'make build' first" >&2
    exit 1
fi

step() {
    printf '\n$ %s\n' "$*"
    "$@"
}

step "$apus" train --data fashion-mnist --model resnet20-cifar --epochs "${EPOCHS:-4}" \
    --batch 64 --lr 0.1 --nesterov --schedule one-cycle --weight-decay 5e-4 --augment flip \
    --seed 1 --out "$out"
step "$apus" evaluate "$out" --confusion
step "$apus" classify "$out" --data fashion-mnist --samples 12 --sheet "$out/predictions.png"

if [ $# -gt 0 ]; then
    step "$apus" classify "$out" "$@"
else
    echo
    echo "To classify pictures of your own: $apus classify $out PICTURE..."
fi
