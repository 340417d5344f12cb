#!/bin/sh
# Installs Debian's chromium for the tests of the status page, where that is possible; otherwise says how.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
say_how() {
    echo "Some tests want Chromium on the PATH: on Debian, apt-get install chromium." >&2
    exit 0
}
command -v apt-get >/dev/null || say_how
if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else say_how; fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null && $sudo apt-get install -y -qq --no-install-recommends chromium fonts-liberation \
    >/dev/null || say_how
