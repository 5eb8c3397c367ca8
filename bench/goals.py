"""What the figures of the full run ought to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.figures import Figure, Figures

# (group, row, column's keyword) → at most; of messages a second, at least
GOALS: Final[dict[tuple[str, str, str], float]] = {
    ("backfill", "mozzart, SQLite", "of_mbsync"): 1.0,
    ("backfill", "mozzart, SQLite", "cpu"): 28,
    ("backfill", "mozzart, SQLite", "peak"): 150,
    ("backfill", "mozzart, PostgreSQL", "of_mbsync"): 1.3,
    ("backfill", "live mail meanwhile, SQLite", "most"): 150,
    ("latency", "raw EXISTS → `new`", "p50"): 2.5,
    ("latency", "raw EXISTS → `new`", "p99"): 6,
    ("latency", "raw EXISTS → row, files, `stored`", "p50"): 8,
    ("latency", "raw EXISTS → row, files, `stored`", "p99"): 20,
    ("slow link", "mozzart, 0 ms", "rate"): 3_000,
    ("slow link", "mozzart, 40 ms", "rate"): 2_500,
    ("slow link", "mozzart, 200 ms", "rate"): 1_200,
    ("large message", "syncer", "peak"): 150,
    ("large message", "consumer", "peak"): 150,
    ("no change", "mozzart, each interval", "octets"): 200,
}


@dataclass(frozen=True)
class Verdict:
    """One figure beside its goal."""

    figure: Figure
    goal: float

    @property
    def met(self) -> bool:
        if self.figure.more_is_better:
            return self.figure.median >= self.goal
        return self.figure.median <= self.goal


def verdicts(figures: Figures) -> Iterable[Verdict]:
    """Of each goal whose figure was measured."""
    for (group, row, column), goal in GOALS.items():
        figure = figures.get(group, row, column)
        if figure is not None:
            yield Verdict(figure, goal)
