#!/bin/sh
# Debian's Chromium for the browser tests. Exit 3 when it is neither there nor to be had.
set -eu
if [ -x /usr/bin/chromium ]; then exit 0; fi
command -v apt-get > /dev/null || { echo "chromium.sh: no /usr/bin/chromium and no apt-get; install Chromium" >&2; exit 3; }
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium
