#!/usr/bin/env bash
# Installs what Apus needs from the system, and says plainly what is there and what is not.
# Exits non-zero only if something needed to build is missing at the end.
set -euo pipefail

# package | what stops working without it | needed to build
packages=(
    "libdnnl-dev|nothing builds: the engine's kernels|yes"
    "libturbojpeg0-dev|nothing builds: reading JPEG pictures|yes"
    "libjpeg-dev|nothing builds: reading parts of JPEG pictures|yes"
    "libpng-dev|nothing builds: reading PNG pictures|yes"
    "zlib1g-dev|nothing builds: reading compressed data|yes"
    "gcc|nothing builds: the C kernels and the OpenMP runtime|yes"
    "libwebp7|WebP pictures cannot be read|no"
    "make|only 'make': run scripts/ and swift by hand|no"
    "dataset-fashion-mnist|'make demo' and '--data fashion-mnist' have no pictures|no"
)

say() { printf '%s\n' "$*"; }
is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

check_swift() {
    local wanted="6.1" found
    if ! command -v swift >/dev/null 2>&1; then
        say "missing: swift $wanted or later; get it from https://www.swift.org/install/linux/"
        return 1
    fi
    # Read everything before matching: closing the pipe early would fail the pipeline.
    found="$(swift --version 2>/dev/null || true)"
    found="$(sed -nE 's/.*Swift version ([0-9]+(\.[0-9]+)*).*/\1/p' <<<"$found")"
    if [ -z "$found" ] || [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]
    then
        say "too old: swift ${found:-of unknown version}; $wanted or later is needed," \
            "from https://www.swift.org/install/linux/"
        return 1
    fi
    say "found: swift $found"
}

status=0
check_swift || status=1

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    say "this is not a Debian system; install by hand, under the names your system uses:"
    say "  to build: oneDNN (2.6 or later, with headers), TurboJPEG, libjpeg-turbo, libpng, zlib, gcc with libgomp"
    say "  otherwise: make; libwebp 1 (found when the command runs); Fashion-MNIST in IDX files for the demo"
    exit "$status"
fi

missing=()
for entry in "${packages[@]}"; do
    name="${entry%%|*}"
    if is_installed "$name"; then say "found: $name"; else missing+=("$name"); fi
done

if [ "${#missing[@]}" -gt 0 ]; then
    run=()
    if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null 2>&1; then run=(sudo); fi
    # Without a terminal no package may wait for an answer.
    apt() { "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null; }
    if [ "$(id -u)" -ne 0 ] && [ "${#run[@]}" -eq 0 ]; then
        say "cannot install as this user: ${missing[*]}"
    else
        say "installing: ${missing[*]}"
        apt update >/dev/null || say "apt-get update failed; trying with the lists at hand"
        # One by one, so that one package that cannot be had does not keep out the others.
        for name in "${missing[@]}"; do
            apt install -y --no-install-recommends "$name" >/dev/null || true
        done
    fi
fi

for entry in "${packages[@]}"; do
    IFS='|' read -r name effect needed <<<"$entry"
    if is_installed "$name"; then
        case " ${missing[*]-} " in *" $name "*) say "installed: $name" ;; esac
        continue
    fi
    say "missing: $name; without it: $effect"
    if [ "$needed" = yes ]; then status=1; fi
done

if [ "$status" -ne 0 ]; then say "something needed to build is missing, see above" >&2; fi
exit "$status"
