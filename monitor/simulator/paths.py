"""Which endpoint a path means, read as loosely as any server might: a guard must not rely on strictness here."""

from __future__ import annotations

from urllib.parse import unquote

PREFIX = "/api/v1"
POSTS = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/responses": "responses",
    "/messages": "messages",
    "/embeddings": "embeddings",
    "/rerank": "rerank",
    "/images": "images",
    "/images/generations": "images",
    "/audio/speech": "audio.speech",
    "/audio/transcriptions": "audio.transcriptions",
    "/videos": "videos",
    "/batches": "batches",
    "/systemone": "systemone",
    "/decisions": "decisions",
}
"""POST paths after the prefix that run inference, with our name of the endpoint."""
_DECISIONS = "/api/alpha/decisions"
EXACT = {f"{PREFIX}{path}": path for path in POSTS}
"""Full paths as a well-behaved client writes them: found without being taken apart."""


def normal(raw_path: str) -> str | None:
    """The path after `/api/v1`, or None when it lies elsewhere. Percent signs, `//`, `.`, `..`, case and slashes at the
    end make no difference."""
    kept: list[str] = []
    for part in unquote(raw_path.partition("?")[0]).replace("\\", "/").split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    path = "/" + "/".join(kept)
    if path.lower() == _DECISIONS:
        return "/decisions"
    if path.lower() != PREFIX and not path.lower().startswith(f"{PREFIX}/"):
        return None
    rest = path[len(PREFIX) :] or "/"
    return rest.lower() if rest.lower() in POSTS else rest
