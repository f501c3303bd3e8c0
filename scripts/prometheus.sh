#!/bin/sh
# Prometheus and promtool from Debian's package, unpacked into .tools/prometheus (nothing is installed, no service is started).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=$root/.tools/prometheus
if [ -x "$target/usr/bin/promtool" ]; then exit 0; fi
if command -v promtool > /dev/null && command -v prometheus > /dev/null; then
    mkdir -p "$target/usr/bin"
    ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$target/usr/bin/"
    exit 0
fi
command -v apt-get > /dev/null || { echo "prometheus.sh: no apt-get here; put promtool and prometheus on the PATH" >&2; exit 3; }
mkdir -p "$target"
cd "$target"
apt-get download prometheus > /dev/null 2>&1 || { apt-get update > /dev/null 2>&1 && apt-get download prometheus > /dev/null; }
dpkg -x prometheus_*.deb .
rm -f prometheus_*.deb
"$target/usr/bin/promtool" --version > /dev/null
