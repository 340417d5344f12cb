"""OpenTelemetry's GenAI histograms, as its exporter to Prometheus writes them: for dashboards built on those."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.samples import Exemplar

from monitor.metrics.sheet import Sheet
from monitor.store.sqlite.semconv import SemconvRow

DURATION, TOKENS = "gen_ai_client_operation_duration_seconds", "gen_ai_client_token_usage"
PROVIDER = "openrouter"
"""Whom the client speaks to; who serves behind it is not a client's to say."""


def fill(sheet: Sheet, rows: Iterable[SemconvRow]) -> None:
    """Nothing, unless the setting has made the store count."""
    for row in rows:
        who = (row.operation, PROVIDER, row.request_model, row.response_model)
        newest = row.newest
        example = None if newest is None else Exemplar({"generation_id": newest[0]}, newest.seconds, newest.at)
        sheet.observe(DURATION, row.durations, row.duration_seconds, *who, row.error_type, example=example)
        if any(row.inputs):
            sheet.observe(TOKENS, row.inputs, row.input_tokens, *who, "input")
        if any(row.outputs):
            sheet.observe(TOKENS, row.outputs, row.output_tokens, *who, "output")
