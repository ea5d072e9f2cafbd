#!/usr/bin/env bash
# Times Apus and its peers in turn on this machine: PyTorch, ONNX Runtime, OpenVINO.
# The peers are Python packages: --python or PEER_PYTHON names the Python that has them.
set -euo pipefail
compare="$(dirname "$0")/../Benchmarks/compare.py"

python="$(command -v python3 || true)"
python="${python:-${PEER_PYTHON:-}}"
if [ -z "$python" ]; then
    echo "compare: there is no python3; name one with PEER_PYTHON" >&2
    exit 1
fi
exec "$python" "$compare" "$@"
