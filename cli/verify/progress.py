"""How far `mozzart verify` is, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def shown(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for the time of the block; what it gives is told `(what, done, total)`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("comparing", total=None, count="")

        def said(what: str, done: int, total: int) -> None:
            count = f"{done:,} of {max(done, total):,} {what}"
            progress.update(bar, description="reading", total=max(done, total), completed=done, count=count)

        yield said
