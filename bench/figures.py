"""What was measured, round after round. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One cell of the table `group`; one of `values` a round. `column` names the unit."""

    group: str
    row: str
    column: str
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.group}: {self.row}, {self.column}"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_ratio(self) -> bool:
        """The same on every machine, as far as that can be."""
        return self.column.startswith("×") or self.column.endswith(" a message")

    @property
    def more_is_better(self) -> bool:
        return self.column == "messages/s"

    def __str__(self) -> str:
        """The median, and how far apart the rounds were."""
        low, high = min(self.values), max(self.values)
        spread = f" ({number(low)}–{number(high)})" if number(low) != number(high) else ""
        return f"{number(self.median)}{spread}"


def number(value: float) -> str:
    """Three digits, or as many as stand before the point."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


@dataclass
class Figures:
    """All of one run, in the order in which they came."""

    _cells: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, group: str, row: str, **columns: float) -> None:
        """One round's values; a column's name is a keyword, of which `COLUMNS` says what is printed."""
        for keyword, value in columns.items():
            self._cells.setdefault((group, row, COLUMNS[keyword]), []).append(value)

    def __iter__(self) -> Iterator[Figure]:
        return (Figure(*key, tuple(values)) for key, values in self._cells.items())

    def groups(self) -> Mapping[str, list[Figure]]:
        found: dict[str, list[Figure]] = {}
        for figure in self:
            found.setdefault(figure.group, []).append(figure)
        return found

    def get(self, group: str, row: str, column: str) -> Figure | None:
        """By the column's keyword."""
        values = self._cells.get((group, row, COLUMNS[column]))
        return Figure(group, row, COLUMNS[column], tuple(values)) if values else None

    def dump(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [
            {
                "group": one.group,
                "row": one.row,
                "column": one.column,
                "values": [float(f"{v:.5g}") for v in one.values],
            }
            for one in self
        ]

    @classmethod
    def load(cls, dumped: Iterable[Mapping[str, Any]]) -> Figures:
        return cls({(one["group"], one["row"], one["column"]): list(one["values"]) for one in dumped})


COLUMNS = {
    "seconds": "s",
    "ms": "ms",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "most": "max, ms",
    "count": "messages",
    "rate": "messages/s",
    "of_mbsync": "× mbsync",
    "cpu": "processor, s",
    "cpu_of_mbsync": "× mbsync's processor",
    "peak": "peak, MB",
    "octets": "bytes",
    "of_status": "× a raw STATUS",
    "fsyncs": "fsyncs a message",
    "calls": "calls a message",
    "read": "× the mail, read",
    "written": "× the mail, written",
}


def rows(figures: Iterable[Figure]) -> tuple[list[str], dict[str, dict[str, Figure]]]:
    """(columns, row → column → figure) of one group."""
    columns: dict[str, None] = {}
    found: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        columns.setdefault(figure.column)
        found.setdefault(figure.row, {})[figure.column] = figure
    return list(columns), found
