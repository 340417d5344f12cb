"""The texts of alerts are filled with the same words as Prometheus' own."""

from __future__ import annotations

import pytest

from monitor.alerting.promql import Beyond
from monitor.alerting.wording import fill

ALL = "{{ $value }}|{{ $value | humanizeDuration }}|{{ $value | humanizePercentage }}|{{ $value | humanizeTimestamp }}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0|0s|0%|1970-01-01 00:00:00 +0000 UTC"),
        (-0.0123, "-0.0123|-12.3ms|-1.23%|1969-12-31 23:59:59.988 +0000 UTC"),
        (-90061.0, "-90061|-1d 1h 1m 1s|-9.006e+06%|1969-12-30 22:58:59 +0000 UTC"),
        (0.00001, "1e-05|10us|0.001%|1970-01-01 00:00:00 +0000 UTC"),
        (0.0001, "0.0001|100us|0.01%|1970-01-01 00:00:00 +0000 UTC"),
        (0.30000000000000004, "0.30000000000000004|300ms|30%|1970-01-01 00:00:00.3 +0000 UTC"),
        (0.001, "0.001|1ms|0.1%|1970-01-01 00:00:00.001 +0000 UTC"),
        (1.0, "1|1s|100%|1970-01-01 00:00:01 +0000 UTC"),
        (-1.0, "-1|-1s|-100%|1969-12-31 23:59:59 +0000 UTC"),
        (12.5, "12.5|12.5s|1250%|1970-01-01 00:00:12.5 +0000 UTC"),
        (59.99999, "59.99999|60s|6000%|1970-01-01 00:00:59.999 +0000 UTC"),
        (3661.7, "3661.7|1h 1m 1s|3.662e+05%|1970-01-01 01:01:01.7 +0000 UTC"),
        (-3661.7, "-3661.7|-1h 1m 1s|-3.662e+05%|1969-12-31 22:58:58.3 +0000 UTC"),
        (86400.0, "86400|1d 0h 0m 0s|8.64e+06%|1970-01-02 00:00:00 +0000 UTC"),
        (100000.0, "100000|1d 3h 46m 40s|1e+07%|1970-01-02 03:46:40 +0000 UTC"),
        (999999.0, "999999|11d 13h 46m 39s|1e+08%|1970-01-12 13:46:39 +0000 UTC"),
        (1000000.0, "1e+06|11d 13h 46m 40s|1e+08%|1970-01-12 13:46:40 +0000 UTC"),
        (1790000000.5, "1.7900000005e+09|20717d 14h 13m 20s|1.79e+11%|2026-09-21 14:13:20.5 +0000 UTC"),
        (1e-30, "1e-30|1e-06ys|1e-28%|1970-01-01 00:00:00 +0000 UTC"),
        (float("nan"), "NaN|NaN|NaN%|NaN"),
        (float("inf"), "+Inf|+Inf|+Inf%|+Inf"),
        (float("-inf"), "-Inf|-Inf|-Inf%|-Inf"),
    ],
)
def test_figures_read_as_prometheus_writes_them(value, words):
    """The words are those that promtool 2.42 made of the same template."""
    assert fill(ALL, {}, value) == words


def test_labels_and_figures_are_filled_in():
    """Labels as they are, or safe for an address; a label that is not there is empty; figures with so many places."""
    labels = {"model": "lab/gull:free", "app": "a b&c"}
    text = '{{ $labels.model }} {{$labels.app | urlquery}} {{ $labels.none }}. {{ $value | printf "%.2f" }}'
    assert fill(text, labels, 1.005) == "lab/gull:free a+b%26c . 1.00"
    assert fill("no place", labels, 1.0) == "no place"


@pytest.mark.parametrize(
    "text",
    ["{{ $labels }}", "{{ range . }}", "{{ $value | toUpper }}", '{{ $value | printf "%d" }}', "{{ query `x` }}"],
)
def test_what_is_beyond_is_refused(text):
    """More of templates than is filled here is an error, not a text with a hole."""
    with pytest.raises(Beyond):
        fill(text, {}, 1.0)
