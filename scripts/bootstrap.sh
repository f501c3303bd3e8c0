#!/bin/sh
# Sets up the environment from requirements.lock, every file checked against its hash. uv comes from the same lock.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
"$PYTHON" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is %d.%d: set PYTHON=python3.11" % sys.version_info[:2])'
echo "Setting up $VENV from requirements.lock (once, about half a minute)"
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
uv_only=$(mktemp)
trap 'rm -f "$uv_only"' EXIT
awk '/^[^ #]/ {keep = ($0 ~ /^uv==/)} keep && !/^ *#/' requirements.lock > "$uv_only"
"$VENV/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$uv_only"
"$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --compile-bytecode --require-hashes --no-deps -r requirements.lock
"$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --no-deps --no-build-isolation -e .
