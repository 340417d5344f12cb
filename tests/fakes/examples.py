"""The examples in the pages for users: fenced blocks, the commands in them, and what is said to come out."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RAISES = re.compile(r"#\s*(\w+Error)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block. `follows` is the text block right below it, if there is one: what it is said to print."""

    language: str
    text: str
    line: int
    follows: str | None = None


def blocks(file: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages (all, when none is named), in their order."""
    page = file.read_text(encoding="utf-8")
    found = list(_FENCED.finditer(page))
    made = []
    for each, below in zip_longest(found, found[1:]):
        joined = below is not None and not page[each.end() : below.start()].strip() and below[1] == "text"
        line = page.count("\n", 0, each.start()) + 1
        made.append(Block(each[1], each[2], line, below[2] if below is not None and joined else None))
    return [block for block in made if not languages or block.language in languages]


def statements(block: Block) -> Iterator[tuple[str, str | None]]:
    """The statements of a Python block, each with the name of the error that a comment beside it says it raises."""
    lines = block.text.splitlines()
    for node in ast.parse(block.text).body:
        last = node.end_lineno or node.lineno
        said = _RAISES.search(lines[last - 1])
        # Empty lines before it, so that a traceback names the right line of the page.
        yield (
            "\n" * (block.line + node.lineno - 1) + "\n".join(lines[node.lineno - 1 : last]),
            said[1] if said else None,
        )


def commands(block: Block) -> list[str]:
    """The commands of a shell block; one may go over several lines inside of quotes."""
    found, part = [], ""
    for line in block.text.splitlines():
        part = f"{part}\n{line}" if part else line
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # a quotation that is still open
            continue
        if words:
            found.append(part)
        part = ""
    assert not part, f"a quotation without an end: {part}"
    return found


def matches(wanted: str, printed: str) -> bool:
    """Whether that was printed; `…` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in wanted.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
