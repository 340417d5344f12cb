"""What each task looks for in a model: weights of what the catalogue says and of what we have seen ourselves.

Nothing here names a model. Words of names and their makers are hints of the catalogue's own, and only ever raise a
model that is listed and free over another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Feature(StrEnum):
    """What can speak for a model."""

    RELIABLE = "reliable"
    QUICK = "quick"
    SMALL = "small"
    LARGE = "large"
    LONG = "long"
    NEW = "new"
    ABLE = "able"
    THINKS = "thinks"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Task:
    """`weights` of features, `words` that make a model NAMED; `inputs` and `parameters` that a model must have."""

    weights: Mapping[Feature, float]
    words: tuple[str, ...] = ()
    inputs: frozenset[str] = frozenset()
    parameters: frozenset[str] = field(default=frozenset())


_CODE_WORDS = ("code", "coder", "coding", "codestral", "devstral", "program")
_CHINESE_WORDS = (
    "baidu", "bytedance", "deepseek", "ernie", "glm", "hunyuan", "inclusionai", "kimi", "minimax", "moonshotai", "qwen",
    "stepfun", "tencent", "thudm", "xiaomi", "z-ai",
)  # fmt: skip

GENERAL = "general"

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        GENERAL: Task(
            {
                Feature.RELIABLE: 3,
                Feature.LARGE: 1.5,
                Feature.NEW: 1.5,
                Feature.QUICK: 1,
                Feature.ABLE: 1,
                Feature.LONG: 0.5,
            }
        ),
        "fast": Task({Feature.QUICK: 4, Feature.RELIABLE: 2, Feature.SMALL: 2}),
        "code": Task(
            {
                Feature.NAMED: 3,
                Feature.RELIABLE: 2,
                Feature.ABLE: 1,
                Feature.LARGE: 1,
                Feature.LONG: 1,
                Feature.NEW: 1,
            },
            words=_CODE_WORDS,
        ),
        "reasoning": Task(
            {Feature.THINKS: 3, Feature.NAMED: 2, Feature.RELIABLE: 2, Feature.LARGE: 1.5, Feature.NEW: 1},
            words=("think", "reason", "-r1"),
        ),
        "long": Task({Feature.LONG: 5, Feature.RELIABLE: 2, Feature.NEW: 0.5}),
        "vision": Task(
            {Feature.RELIABLE: 2, Feature.LARGE: 1, Feature.NEW: 1, Feature.ABLE: 0.5}, inputs=frozenset({"image"})
        ),
        "tools": Task(
            {Feature.ABLE: 2, Feature.RELIABLE: 2, Feature.LARGE: 1, Feature.NEW: 1}, parameters=frozenset({"tools"})
        ),
        "chinese": Task(
            {Feature.NAMED: 3, Feature.RELIABLE: 2, Feature.LARGE: 1, Feature.NEW: 1}, words=_CHINESE_WORDS
        ),
    }
)
