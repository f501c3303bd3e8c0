#!/bin/sh
# TypeScript's checker for the browser SDK, pinned, into the ignored folder .tools/typescript. Exit 3 when npm is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
version=5.9.2
folder=$root/.tools/typescript
if [ "$(cat "$folder/.version" 2> /dev/null)" = "$version" ]; then exit 0; fi
command -v npm > /dev/null || { echo "typescript.sh: npm is not installed; install Node.js 18 or newer" >&2; exit 3; }
rm -rf "$folder"
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --no-save --prefix "$folder" "typescript@$version" >&2
echo "$version" > "$folder/.version"
