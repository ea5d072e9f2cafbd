#!/usr/bin/env bash
# Writes the reference of every library target to docs/api as static HTML, without a network.
set -euo pipefail
cd "$(dirname "$0")/.."

docc="$(command -v docc || true)"
if [ -z "$docc" ]; then
    docc="$(dirname "$(command -v swift)")/docc"
fi
if [ ! -x "$docc" ]; then
    echo "the Swift toolchain has no docc" >&2
    exit 1
fi

graphs=.build/symbol-graphs
rm -rf "$graphs"
mkdir -p "$graphs"
swift build -c release
modules="$(swift build -c release --show-bin-path)/Modules"
targets=()
for folder in Sources/Apus*; do
    name="$(basename "$folder")"
    if [ -e "$modules/$name.swiftmodule" ]; then targets+=("$name"); fi
done
# Module maps of the C targets that Swift modules import.
includes=(-I "$modules")
for folder in Sources/C*/ Sources/C*/include/; do
    if [ -d "$folder" ]; then includes+=(-I "$folder"); fi
done
target="$(swift -print-target-info | sed -nE '/"triple"/{s/.*"triple": "([^"]+)".*/\1/p;}')"
target="${target%%$'\n'*}"
for name in "${targets[@]}"; do
    swift symbolgraph-extract -module-name "$name" "${includes[@]}" -target "$target" \
        -minimum-access-level public -output-dir "$graphs"
done

rm -rf docs/api
mkdir -p docs/api
for name in "${targets[@]}"; do
    mkdir -p "$graphs/$name"
    find "$graphs" -maxdepth 1 \( -name "$name.symbols.json" -o -name "$name@*.symbols.json" \) \
        -exec mv {} "$graphs/$name/" \;
    "$docc" convert --additional-symbol-graph-dir "$graphs/$name" --output-dir "docs/api/$name" \
        --fallback-display-name "$name" --fallback-bundle-identifier "apus.$name" \
        --transform-for-static-hosting --hosting-base-path "$name" >"$graphs/$name.log" 2>&1 ||
        { cat "$graphs/$name.log" >&2; exit 1; }
done
echo "docs/api: ${targets[*]}"
echo "to read: python3 -m http.server -d docs/api, then /NAME/documentation/name/ in lower case"
