"""How far a long copy is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from cli.quantity import size

_EVERY: Final = 10.0  # seconds between two lines


class Steps:
    """A context manager; `begin` each step, then tell what is done of it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task: TaskID | None = None
        self._name = ""
        self._total = self._done = 0
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str, total: int = 0) -> None:
        """`total` bytes are to be done; 0 when nobody knows yet."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._name, self._total, self._done = name, total, 0
        self._task = self._progress.add_task(name, total=total or None, count="")

    def advance(self, octets: int) -> None:
        self.reached(self._done + octets, self._total)

    def reached(self, done: int, total: int) -> None:
        """So many bytes of so many."""
        self._done, self._total = done, total
        count = f"{size(done)} of {size(total)}"
        assert self._task is not None
        self._progress.update(self._task, total=total or None, completed=done, count=count)
        if not self._console.is_terminal and time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            self._console.print(f"{self._name}: {count}")
