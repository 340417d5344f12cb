"""The documentation of the metrics, made from the table: `python -m monitor.metrics > docs/metrics.md`."""

from __future__ import annotations

from monitor.metrics.families import FAMILIES
from monitor.metrics.family import Source, Type
from monitor.store.sqlite.scrape import CAPS
from monitor.store.sqlite.semconv import SETS

_INTRODUCTION = f"""\
# Metrics

<!-- Made by `python -m monitor.metrics > docs/metrics.md`; a test compares. -->

`/metrics` answers in Prometheus' text format, or in OpenMetrics when that is asked for. A scrape reads one moment of
the store: it makes no request, writes nothing and never reads the log of calls.

* **Counters** whose source is the store are sums that it keeps: they go on after a restart, a crash and a `db prune`.
* **Labels are bounded.** The first {CAPS.apps} apps, {CAPS.models} models and {CAPS.pairs} pairs of an app and a model
  have names of their own, in the order in which they first came; apps that the settings name come before others.
  Whatever came later is counted under `other`. A place is never taken away, so that no sum moves between a name and
  `other`, and `openrouter_monitor_label_overflow_total` tells how many values have no place. A model whose pair has
  none is `other` where both labels stand together, and keeps its name where the model stands alone.
* A request that named no model has `model="none"`. `code` is the HTTP status, `none` without an answer, `other` for
  a status that OpenRouter is not known to give. `key` and `account` are the account's alias from the settings.
* **Absent is not zero.** A figure that is not known is left out. Where an alert needs to see the first event, the
  series exists at 0 beforehand: "from the start" says which.
* **Whose clock.** A day of the free quota ends at midnight by OpenRouter's clock; which day an attempt is counted for
  here is decided by this machine's. `openrouter_monitor_clock_offset_seconds` says how far apart they are. At +30 the
  new day begins here half a minute before theirs: calls of that half minute are counted for the wrong day, and may
  meet a 429 that nothing here foresaw. At -30 they are held back, and counted for the old day, half a minute too long.
  Beyond a few seconds, let the machine's clock be set by NTP.
* **OpenTelemetry's names.** With `metrics.genai_semconv = true` the two histograms of the GenAI conventions are told as
  well, for dashboards that are built on them, with the conventions' own buckets. The daemon counts them from the log,
  about ten seconds after an attempt has ended, and from when it is first turned on; each attempt is one operation, a
  retry another one. What was refused here, or whose end nobody saw, is none. The first {SETS} sets of labels have
  names, whatever came later is `other`. `gen_ai_provider_name` is `openrouter`, whoever serves behind it; `error_type`
  is the HTTP status, or how it ended where that tells nothing (`network_error`, `cancelled`, an error inside a 200).
  OpenMetrics names the newest attempt of a set beside its bucket, by its `generation_id`. The conventions are still in
  development: no alert and no dashboard of ours rests on these names.
* If the store cannot be read, the last good figures are told again and `openrouter_monitor_scrape_ok` is 0.
* `process_*` and `python_info` are those of the Prometheus client library.

"""

_HEADINGS = {
    Source.STORE: "From the store",
    Source.POLL: "From OpenRouter's newest answers",
    Source.DAEMON: "Of the daemon's own process",
}


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_INTRODUCTION]
    for source, heading in _HEADINGS.items():
        parts.append(f"## {heading}\n\n| Name | Type | Labels | Series, at most | Meaning |\n|---|---|---|--:|---|\n")
        for family in FAMILIES:
            if family.source is source:
                labels = ", ".join(f"`{label}`" for label in family.labels)
                zeros = f" From the start: {family.zeros}." if family.zeros else ""
                bounds = f" Buckets: {', '.join(f'{b:g}' for b in family.buckets)}." * (family.type is Type.HISTOGRAM)
                only = f" Only with `{family.setting} = true`." if family.setting else ""
                about = f"{family.help}{zeros}{bounds}{only}"
                parts.append(f"| `{family.name}` | {family.type} | {labels} | {family.series} | {about} |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"
