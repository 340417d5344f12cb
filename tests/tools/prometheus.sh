#!/bin/sh
# Installs Debian's prometheus (with promtool) for the tests, where that is possible; otherwise says how.
set -eu
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    exit 0
fi
say_how() {
    echo "Some tests want Prometheus and promtool on the PATH: on Debian, apt-get install prometheus." >&2
    exit 0
}
command -v apt-get >/dev/null || say_how
if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else say_how; fi
# The package would start a server of its own; a policy that forbids it stands there while it is installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null && $sudo apt-get install -y -qq --no-install-recommends prometheus >/dev/null || say_how
