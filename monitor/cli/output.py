"""Telling people and programs: JSON, tables, lines, progress.

In a terminal tables are drawn by rich, in colour unless NO_COLOR is set. In a pipe they are plain text: aligned
columns, whole values, no escape codes, nothing cut or wrapped. Texts from outside lose their control characters.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PLAIN_GAP = "  "
NOTHING = "-"
WIDE = 110
"""Columns of a terminal from which on the less important columns of a table are shown."""


class Styled(NamedTuple):
    """A text with a style of rich's, such as "red" or "bold"; in a pipe only the text."""

    text: str
    style: str = ""

    def __str__(self) -> str:
        return self.text


Cell = str | int | float | Styled | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `right` aligns numbers.

    In a narrow terminal `fold` lets it take several lines, `cut` lets it end in an ellipsis, and `wide` leaves it out.
    """

    title: str
    right: bool = False
    fold: bool = False
    cut: bool = False
    wide: bool = False


class Output:
    """Where a command writes. Whether it is a terminal is looked at once."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """rich's console on stdout; only for terminals."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(highlight=False, soft_wrap=False)
        return self._console

    @property
    def narrow(self) -> bool:
        """Whether it is a terminal with little room."""
        return self.terminal and self.console.width < WIDE

    def json(self, value: Any) -> None:
        """One JSON document."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))

    def line(self, *parts: str | Styled) -> None:
        """One line. Wraps at words in a terminal, never in a pipe."""
        if not self.terminal:
            click.echo("".join(clean(str(part)) for part in parts))
            return
        self.console.print(_text(parts))

    def indented(self, indent: int, *parts: str | Styled) -> None:
        """One line that begins further in; where a terminal wraps it, the rest does so too."""
        if not self.terminal:
            self.line(" " * indent, *parts)
            return
        from rich.padding import Padding

        self.console.print(Padding(_text(parts), (0, 0, 0, indent)))

    def blank(self) -> None:
        """An empty line."""
        self.line()

    def heading(self, text: str) -> None:
        """A line above a table, and an empty one above it."""
        self.blank()
        self.line(Styled(text, "bold cyan"))

    def note(self, text: str) -> None:
        """A remark for people, on stderr, so that it does not mix with what is read by programs."""
        click.echo(clean(text), err=True)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, header: bool = True) -> None:
        """Rows under titles."""
        if self.terminal:
            self._rich_table(columns, rows, header)
        else:
            for text in plain_table(columns, rows, header=header):
                click.echo(text)

    def facts(self, pairs: Sequence[tuple[str, Sequence[str | Styled]]]) -> None:
        """Names with what is to be said of each, one below the other."""
        width = max((len(name) for name, _ in pairs), default=0)
        for name, parts in pairs:
            self.labelled([Styled(name.ljust(width), "dim")], parts)

    def labelled(self, labels: Sequence[Styled], said: Sequence[str | Styled]) -> None:
        """Labels, of a width that the caller chose, and what is said; wrapped by a terminal, it stays in its place."""
        if not self.terminal:
            self.line(PLAIN_GAP.join([*(label.text for label in labels), "".join(map(str, said))]))
            return
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        for _ in labels:
            grid.add_column(no_wrap=True)
        grid.add_column()
        grid.add_row(*(_text([label]) for label in labels), _text(said))
        self.console.print(grid)

    @contextmanager
    def progress(self, title: str) -> Iterator[_Progress]:
        """A bar on stderr while something runs, if a person can see it."""
        if not (sys.stderr.isatty() and os.environ.get("TERM") != "dumb"):
            yield _Progress()
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=None, told="")
            yield _Bar(
                lambda done, told: bar.update(task, completed=done or 0.0, total=1.0 if done else None, told=told)
            )

    def _rich_table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], header: bool) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        kept = [i for i, column in enumerate(columns) if not (column.wide and self.narrow)]
        table = Table(
            box=box.SIMPLE_HEAD if header else None,
            show_header=header,
            header_style="dim",
            pad_edge=False,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in (columns[i] for i in kept):
            # rich takes width only from columns that may wrap; the cells say whether they really do.
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                no_wrap=not (column.fold or column.cut),
                overflow="fold",
            )
        for row in rows:
            cells = [(row[i], columns[i]) for i in kept]
            table.add_row(
                *(
                    Text(
                        _shown(cell),
                        style=cell.style if isinstance(cell, Styled) else "",
                        no_wrap=column.cut or None,
                        overflow="ellipsis" if column.cut else None,
                    )
                    for cell, column in cells
                )
            )
        self.console.print(table)


class _Progress:
    """A bar that nobody sees."""

    def at(self, done: float, told: str = "") -> None:
        """How much is done, from 0 to 1; 0 when it cannot be known."""


class _Bar(_Progress):
    def __init__(self, update: Any) -> None:
        self._update = update

    def at(self, done: float, told: str = "") -> None:
        self._update(done, told)


def _text(parts: Sequence[str | Styled]) -> Text:
    from rich.text import Text

    text = Text()
    for part in parts:
        text.append(clean(str(part)), style=part.style if isinstance(part, Styled) else "")
    return text


def clean(text: str) -> str:
    """`text` on one line without control characters: what came from outside must not steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _shown(cell: Cell) -> str:
    if cell is None:
        return NOTHING
    return clean(f"{cell:g}" if isinstance(cell, float) else str(cell))


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, header: bool = True) -> Iterator[str]:
    """Lines of aligned text; each value is whole."""
    texts = [[column.title.upper() for column in columns]] if header else []
    texts += [[_shown(cell) or NOTHING for cell in row] for row in rows]
    widths = [max((len(row[i]) for row in texts), default=0) for i in range(len(columns))]
    for row in texts:
        cells = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        )
        yield PLAIN_GAP.join(cells).rstrip()


def without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """`row` without some names."""
    return {name: value for name, value in row.items() if name not in names}
