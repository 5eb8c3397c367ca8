"""The figures that are committed (bench/baseline.json), by the size of the run, and what is worse than they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figures

PATH = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.25


@dataclass(frozen=True)
class Run:
    """`at` is the day; `machine` and `options` say what it was measured with, in words and numbers."""

    at: str
    machine: dict[str, Any]
    options: dict[str, Any]
    figures: Figures

    def dump(self) -> dict[str, Any]:
        """For JSON."""
        return {"at": self.at, "machine": self.machine, "options": self.options, "figures": self.figures.dump()}


def load(path: Path = PATH) -> dict[str, Run]:
    """By size; empty where none is kept."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {
        size: Run(one["at"], one["machine"], one["options"], Figures.load(one["figures"])) for size, one in kept.items()
    }


def save(size: str, run: Run, path: Path = PATH) -> None:
    """In place of the one of that size."""
    runs = load(path) | {size: run}
    path.write_text(json.dumps({name: one.dump() for name, one in sorted(runs.items())}, indent=1) + "\n")


def worse(kept: Figures, now: Figures) -> tuple[list[str], int]:
    """(in words, each ratio whose median is a quarter worse than the one that is kept; how many could be compared)."""
    found, compared = [], 0
    before = {one.name: one for one in kept if one.is_ratio}
    for figure in now:
        if (old := before.get(figure.name)) is not None:
            compared += 1
            if figure.median > old.median * TOLERANCE:
                found.append(f"{figure.name}: {figure}, and was {old}")
    return found, compared
