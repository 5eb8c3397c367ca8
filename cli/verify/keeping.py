"""The row that is kept of a run of `mozzart verify`. A database that takes none stops no comparison: a note says so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from cli.verify.position import Position
from cli.verify.report import Finding, Report
from mailcore.errors import MozzartError, StoreError
from mailcore.store import Store

MOST_FINDINGS: Final = 500  # of a report

_EVERY: Final = 3.0  # seconds between two positions

By = Literal["command", "verifier"]


@dataclass
class Kept:
    """The row, None where the database took none. `began`: monotonic seconds of the last position."""

    store: Store
    report: Report
    row_id: int | None = None
    began: float = 0.0

    async def step(self) -> None:
        """Keep the report's position, unless that was done some seconds ago."""
        if self.row_id is None or self.report.position is None or time.monotonic() - self.began < _EVERY:
            return
        self.began = time.monotonic()
        await self.store.save_verify(self.row_id, position=self.report.position.kept())


async def unfinished(store: Store, report: Report) -> Position:
    """Where the last deep run over the same mailboxes was, if it did not come to its end."""
    for one in await store.verify_reports():
        if one.deep and (one.account, one.mailbox) == (report.account, report.mailbox):
            found = await store.verify_report(one.id)
            return Position.read(found.position if found is not None else None)
    return Position()


@asynccontextmanager
async def kept(store: Store, report: Report, by: By) -> AsyncIterator[Kept]:
    """From now on a report is running, and at the end of the block what became of it."""
    try:
        row_id = await store.begin_verify(
            started_at=report.started_at,
            by=by,
            account=report.account,
            mailbox=report.mailbox,
            deep=report.deep,
            status="running",
        )
    except StoreError as error:
        report.notes.append(f"The report is not kept: {error}")
        yield Kept(store, report)
        return
    try:
        yield Kept(store, report, row_id)
    except MozzartError as error:
        await _end(store, row_id, report, "failed", str(error))
        raise
    except BaseException:  # cancelled, by Ctrl-C
        await _end(store, row_id, report, "interrupted")
        raise
    reasons = "; ".join(f"{name}: {reason}" for name, reason in report.not_compared.items())
    await _end(store, row_id, report, report.status, reasons if report.status == "failed" else "")


async def _end(store: Store, row_id: int, report: Report, status: str, error: str = "") -> None:
    try:
        await store.save_verify(
            row_id,
            ended_at=datetime.now(UTC),
            status=status,
            totals={str(category): count for category, count in report.totals().items()},
            findings=[_finding(one) for one in report.first(MOST_FINDINGS)],
            failed={_text(name): _text(reason) for name, reason in report.not_compared.items()},
            error=_text(error),
            position=report.position.kept() if report.position is not None else None,
        )
    except StoreError as failure:
        report.notes.append(f"The report is not kept: {failure}")


def _finding(one: Finding) -> dict[str, object]:
    values = one.model_dump(exclude_none=True)
    return {name: _text(value) if isinstance(value, str) else value for name, value in values.items()}


def _text(foreign: str) -> str:
    """Without what PostgreSQL and JSON do not take: NUL, and the surrogates of names that are no modified UTF-7."""
    return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in foreign)
