"""What the proxy answers by itself, in OpenRouter's own error shape: the caller's mistakes, and an upstream's silence.

A 4xx says `x-should-retry: false`, for the same request would meet the same answer. A 5xx leaves retrying to the SDK,
as it does when it calls OpenRouter itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.redact import redact
from monitor.serving.messages import Response

SERVER = "openrouter-monitor"
"""Who answered, where the upstream does not name itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says why there is none. `why` is a word for programs and for the count of such answers."""

    status: int
    why: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    """Whether the connection ends with it: what else comes over it is not wanted, or cannot be told from a body."""

    def response(self, path: str = "") -> Response:
        """The answer; Anthropic's shape for its endpoint."""
        message = redact(self.message, limit=800)
        metadata = {"limit_source": "openrouter_monitor", "reason": self.why}
        error = {"code": self.status, "message": message, "metadata": metadata}
        body: dict[str, object] = {"error": error}
        if path.endswith("/messages"):
            body = {"type": "error", "error": {"type": _TYPES.get(self.status, "api_error"), **error}}
        headers = {"Content-Type": "application/json", "Server": SERVER, **self.headers}
        if self.status < 500:
            headers["x-should-retry"] = "false"
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(self.status, json.dumps(body).encode(), headers, closes=self.closes)


STOPPING = Problem(503, "stopping", "The daemon is stopping.", {"Retry-After": "5"}, closes=True)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}


class Turned(Exception):
    """Raised to turn a request away with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
