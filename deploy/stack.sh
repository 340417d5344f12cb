#!/bin/sh
# The daemon with Debian's Prometheus and Alertmanager on this machine's loopback, without containers or services.
#
#   deploy/stack.sh up        start what does not run, and wait until it answers
#   deploy/stack.sh down      end what was started here
#   deploy/stack.sh status    what runs; exit code 1 if anything does not
#
# Wanted: openrouter-monitor, prometheus and prometheus-alertmanager (apt-get install prometheus prometheus-alertmanager;
# with an executable /usr/sbin/policy-rc.d that exits 101 nothing else is started by that). Everything is kept in
# STACK_HOME. The daemon's own settings are those of `openrouter-monitor serve`: OPENROUTER_API_KEY, OPENROUTER_MONITOR_…
set -eu

here=$(cd "$(dirname "$0")" && pwd)
home=${STACK_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/openrouter-monitor-stack}
daemon_at=${STACK_DAEMON:-127.0.0.1:8377}
prometheus_at=${STACK_PROMETHEUS:-127.0.0.1:9090}
alertmanager_at=${STACK_ALERTMANAGER:-127.0.0.1:9093}
alertmanager_config=${STACK_ALERTMANAGER_CONFIG:-$here/alertmanager/alertmanager.yml}
scrape_every=${STACK_SCRAPE_INTERVAL:-15s}
WAIT=60

fail() {
    echo "stack.sh: $*" >&2
    exit 1
}

find_program() { # NAME...: the first that is there
    for name in "$@"; do
        command -v "$name" && return
        [ -x "$here/../.venv/bin/$name" ] && echo "$here/../.venv/bin/$name" && return
    done
    fail "$1 is not installed; the head of this file says what is wanted."
}

running() { # NAME: whether the process that was started under this name still runs, and is not another with its number
    [ -s "$home/$1.pid" ] || return 1
    pid=$(cat "$home/$1.pid")
    kill -0 "$pid" 2>/dev/null || return 1
    [ -d /proc/self ] || return 0
    # It may end between two lines, which is no error to tell of.
    { tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "STACK_PART=$home/$1"; } 2>/dev/null
}

start() { # NAME COMMAND...
    part=$1
    shift
    running "$part" && return
    STACK_PART=$home/$part "$@" >>"$home/$part.log" 2>&1 </dev/null &
    echo $! >"$home/$part.pid"
}

answers() { # URL
    python3 -c 'import sys, urllib.request as r
r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)' "$1" >/dev/null 2>&1
}

wait_for() { # NAME URL
    tries=0
    until answers "$2"; do
        running "$1" || fail "$1 has ended; the last lines of $home/$1.log: $(tail -n 5 "$home/$1.log")"
        tries=$((tries + 1))
        [ "$tries" -lt "$WAIT" ] || fail "$1 does not answer at $2; see $home/$1.log"
        sleep 1
    done
}

write_config() {
    cat >"$home/prometheus.yml" <<EOF
global:
  scrape_interval: $scrape_every
  evaluation_interval: $scrape_every
rule_files: ["$here/../alerts/rules.yml"]
alerting:
  alertmanagers: [{static_configs: [{targets: ["$alertmanager_at"]}]}]
scrape_configs:
  - job_name: openrouter-monitor
    static_configs: [{targets: ["$daemon_at"]}]
  - job_name: prometheus
    static_configs: [{targets: ["$prometheus_at"]}]
  - job_name: alertmanager
    static_configs: [{targets: ["$alertmanager_at"]}]
EOF
}

up() {
    daemon=$(find_program openrouter-monitor)
    prometheus=$(find_program prometheus)
    alertmanager=$(find_program prometheus-alertmanager alertmanager)
    umask 077
    mkdir -p "$home"
    write_config
    start daemon "$daemon" serve --listen "$daemon_at"
    start alertmanager "$alertmanager" --config.file="$alertmanager_config" --storage.path="$home/alertmanager" \
        --web.listen-address="$alertmanager_at" --cluster.listen-address=
    start prometheus "$prometheus" --config.file="$home/prometheus.yml" --storage.tsdb.path="$home/prometheus" \
        --storage.tsdb.retention.time=90d --web.listen-address="$prometheus_at"
    wait_for daemon "http://$daemon_at/-/healthy"
    wait_for alertmanager "http://$alertmanager_at/-/ready"
    wait_for prometheus "http://$prometheus_at/-/ready"
    status
}

down() {
    for part in prometheus alertmanager daemon; do
        if running "$part"; then
            kill "$pid"
            tries=0
            while running "$part"; do
                tries=$((tries + 1))
                [ "$tries" -lt "$WAIT" ] || fail "$part (process $pid) does not end"
                sleep 1
            done
            echo "$part ended"
        fi
        rm -f "$home/$part.pid"
    done
}

status() {
    code=0
    for told in "daemon $daemon_at" "prometheus $prometheus_at" "alertmanager $alertmanager_at"; do
        if running "${told%% *}"; then
            echo "${told%% *} runs at http://${told##* } (process $pid, log $home/${told%% *}.log)"
        else
            echo "${told%% *} does not run"
            code=1
        fi
    done
    return $code
}

case ${1:-} in
up | down | status) "$1" ;;
*) fail "say up, down or status" ;;
esac
