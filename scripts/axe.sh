#!/bin/sh
# axe-core, the accessibility checker of the browser tests, pinned, into the ignored folder .tools/axe. Exit 3 when npm is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
version=4.14.1
folder=$root/.tools/axe
if [ "$(cat "$folder/.version" 2> /dev/null)" = "$version" ]; then exit 0; fi
command -v npm > /dev/null || { echo "axe.sh: npm is not installed; install Node.js 18 or newer" >&2; exit 3; }
rm -rf "$folder"
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --no-save --prefix "$folder" "axe-core@$version" >&2
echo "$version" > "$folder/.version"
