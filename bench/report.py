"""A run for people, and as a file of its own in bench/results/."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.baseline import Run
from bench.figures import Figures, number, rows
from bench.goals import verdicts
from bench.machine import words

RESULTS = Path(__file__).parent / "results"


def show(run: Run) -> None:
    """To the terminal: each cell the median of the rounds, with the least and the most."""
    console = Console(width=max(190, Console().width))
    console.print(words(run.machine), highlight=False)
    for group, figures in run.figures.groups().items():
        columns, found = rows(figures)
        table = Table(title=group, title_justify="left")
        for name in ("", *columns):
            table.add_column(name, justify="right" if name else "left")
        for row, cells in found.items():
            table.add_row(row, *(str(cells[one]) if one in cells else "" for one in columns))
        console.print(table)


def show_goals(figures: Figures) -> None:
    """One line a goal; they are those of the full run on two cores."""
    for one in verdicts(figures):
        bound = "at least" if one.figure.more_is_better else "at most"
        print(f"{'ok ' if one.met else 'NO '} {one.figure.name}: {one.figure} ({bound} {number(one.goal)})")


def write(size: str, run: Run) -> Path:
    """The JSON file that was written; its name is the time."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{size}.json"
    path.write_text(json.dumps({size: run.dump()}, indent=1) + "\n")
    return path
