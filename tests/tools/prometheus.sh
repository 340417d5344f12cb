#!/bin/sh
# Installs Debian's prometheus (with promtool) and alertmanager (with amtool) for the tests, where that is possible;
# otherwise says how. Nothing is started.
set -eu
there() {
    for program in prometheus promtool prometheus-alertmanager amtool; do
        command -v "$program" >/dev/null || return 1
    done
}
if there; then
    exit 0
fi
say_how() {
    echo "Some tests want Prometheus and Alertmanager on the PATH: on Debian, apt-get install prometheus prometheus-alertmanager." >&2
    exit 0
}
command -v apt-get >/dev/null || say_how
if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else say_how; fi
# The packages would start servers of their own; a policy that forbids it stands there while they are installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null || say_how
$sudo apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager >/dev/null || say_how
