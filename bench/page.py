"""What of docs/performance.md the bench writes: tables and plots of the full run. Pure but for `write`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.baseline import Run
from bench.calls import ROLES
from bench.figures import Figure, Figures, number, rows
from bench.goals import verdicts
from bench.machine import words
from bench.plot import Bar, bar, bars

DOCS: Final = Path(__file__).parent.parent / "docs"
PAGE: Final = DOCS / "performance.md"
PLOTS: Final = DOCS / "plots"
BEGIN: Final = "<!-- written by make bench-full: begin -->\n"
END: Final = "<!-- written by make bench-full: end -->\n"


def write(run: Run) -> None:
    """Into the page, and the plots beside it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{tables(run)}{END}{rest.partition(END)[2]}")
    PLOTS.mkdir(exist_ok=True)
    for name, svg in plots(run.figures).items():
        (PLOTS / name).write_text(svg)


def tables(run: Run) -> str:
    """Markdown: the goals first, then every figure. Median (least–most) of the rounds."""
    options = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in run.options.items())
    out = [f"Measured on {run.at}: {words(run.machine)}. {options[0].upper()}{options[1:]}.", ""]
    found = list(verdicts(run.figures))
    if found:
        out += ["| goal | measured | at most | |", "|---|---|---|---|"]
        for one in found:
            bound = f"at least {number(one.goal)}" if one.figure.more_is_better else number(one.goal)
            out.append(f"| {one.figure.name} | {one.figure} | {bound} | {'met' if one.met else '**missed**'} |")
        out.append("")
    for name in plots(run.figures):
        out += [f"![{name.removesuffix('.svg')}](plots/{name})", ""]
    for group, figures in run.figures.groups().items():
        out += [f"### {group[0].upper()}{group[1:]}", "", *_table(figures), ""]
    return "\n".join(out) + "\n"


def _table(figures: Iterable[Figure]) -> list[str]:
    columns, found = rows(figures)
    out = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for row, cells in found.items():
        out.append(f"| {row} | {' | '.join(str(cells[one]) if one in cells else '' for one in columns)} |")
    return out


def plots(figures: Figures) -> dict[str, str]:
    """SVG by file name, of what was measured."""
    found: dict[str, str] = {}
    ours = ("mozzart, SQLite", "mozzart, PostgreSQL")
    walls = [
        bar(row, figure)
        for group, row in (
            ("backfill", "mbsync, durable Maildir"),
            *(("backfill", row) for row in ours),
            ("others", "imapflow and mailparser"),
            ("others", "imaplib script"),
            ("others", "django-mailbox"),
        )
        if (figure := figures.get(group, row, "of_mbsync"))
    ]
    if walls:
        found["backfill.svg"] = bars("A mailbox from nothing to rows and files", "× mbsync's time", walls)
    spent = []
    for row in ours:
        cells = {role: figures.get("backfill", f"{row}: {role}", "cpu") for role in (*ROLES, "api", "PostgreSQL")}
        parts = [(role, figure.median) for role, figure in cells.items() if figure]
        if parts and (total := figures.get("backfill", row, "cpu")):
            spent.append(Bar(row, parts, total.median, total.median))
    if spent:
        found["processor.svg"] = bars("Processor time of a backfill", "seconds", spent)
    latency = [
        bar(f"{row}, {column}", figure)
        for row in ("raw EXISTS → `new`", "raw EXISTS → row, files, `stored`")
        for column in ("p50", "p99")
        if (figure := figures.get("latency", row, column))
    ]
    if latency:
        found["latency.svg"] = bars("One new message", "ms", latency)
    return found
