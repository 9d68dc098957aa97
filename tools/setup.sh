#!/usr/bin/env bash
# Prepare a checkout: system packages where we may install them, then mcugen and its tools in .venv.
# `make` calls it; running it again is safe. PYTHON names another interpreter than the one found.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- what is missing ---------------------------------------------------------------------------

# onnxruntime 1.31, the release mcugen is pinned to, has no wheel for an older Python.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if has "$candidate" && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}
host_gcc_works() { has gcc && echo 'int main(void) { return 0; }' | gcc -x c -o /dev/null - 2>/dev/null; }
newlib_nano_found() { has arm-none-eabi-gcc && [[ "$(arm-none-eabi-gcc -print-file-name=nano.specs)" == /* ]]; }

missing_packages() {
    local python
    python=$(find_python)
    has python3 || echo python3
    [[ -n "$python" ]] && "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    host_gcc_works || echo gcc libc6-dev
    has cmake || echo cmake
    has arm-none-eabi-gcc || echo gcc-arm-none-eabi
    newlib_nano_found || echo libnewlib-arm-none-eabi
    has qemu-system-arm || echo qemu-system-arm
}

# --- system packages ---------------------------------------------------------------------------

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }
may_install() { has apt-get && { [[ $(id -u) == 0 ]] || { has sudo && sudo -n true 2>/dev/null; }; }; }

read -r -d '' -a packages < <(missing_packages) || true
if ((${#packages[@]})); then
    if may_install; then
        say "installing ${packages[*]}"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    else
        say "skipped, needs root and apt: ${packages[*]}"
        say "without gcc there is no host check; without the Arm compiler and QEMU there is no emulated core"
    fi
fi

# --- the virtual environment -------------------------------------------------------------------

python=$(find_python)
[[ -n "$python" ]] || die "no Python 3.11 or newer found (needed by onnxruntime 1.31); set PYTHON=/path/to/python3"
# Asking for pip and not for the folder: without python3-venv, `venv` fails half way and leaves one.
[[ -x .venv/bin/pip ]] || "$python" -m venv --clear .venv ||
    die "could not create .venv (package python3-venv)"
say "installing mcugen and its tools into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'

# Extras whose licence is not everybody's, where the caller asks for them: MCUGEN_EXTRAS=qnn
for extra in ${MCUGEN_EXTRAS:-}; do
    say "installing mcugen[$extra]"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extra]" ||
        say "skipped: mcugen[$extra] does not install here"
done
