"""Messages' HTML in a process of its own: what costs too much is text, and nobody waits long."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from mailcore.html import worker
from mailcore.html.document import LONGEST, TOO_LONG
from mailcore.html.sanitizer import Sanitizer

PLAIN = "<p>What a person may read.</p>"
COSTLY = {
    "attributes": "<p " + " ".join(f"a{number}=1" for number in range(60_000)) + ">x",
    "attributes of many": ("<p " + " ".join(f"a{number}" for number in range(190)) + ">x") * 400,
    "deep": "<div>" * 390 + "<p>x</p>" * 9_000,
    "lists in spans": "<span>" * 390 + "<li></li>" * 9_500,
    "tables in tables": "<table><tr><td>" * 130 + "<td>x" * 18_000,
    "elements": "<p>" * 20_000,
    "opened again": "<p>" + "".join(f"<font color={number}>" for number in range(390)) + "</p>" + "<p>x" * 9_500,
    "outside of cells": "<table>" + "<br>" * 19_000,
    "misnested": "<a href=x><b><div></a>" * 390,
    "adopted": "<b><p>x</b>y</p>" * 4_900,
    "escaped": "<" * 20_000 + "&" * 50_000 + '"' * 200_000,
    "styles": "<p style='background:url(//a/b)'>" * 9_000,
    "one style": "<style>" + "url( " * 59_000 + "</style>",
    "links": "<a href=b>c</a>" * 9_900,
    "NUL": "\0" * 300_000,
    "foreign": "<svg><desc><p>" * 6_000,
    "templates": "<template>" * 390 + "<template></template>" * 9_500,
    "comments": "<!--x-->" * 19_000,
    "hidden behind a style": "<svg><style><x a='</style>" + "<font color=1><p>" * 17_000 + "'>",
}


@pytest_asyncio.fixture
async def sanitizer() -> AsyncIterator[Sanitizer]:
    made = Sanitizer()
    yield made
    await made.close()


def the_worker() -> psutil.Process:
    (found,) = (one for one in psutil.Process().children() if "mailcore.html.worker" in one.cmdline())
    return found


def used(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:4])  # with what its children took that have ended


@pytest.mark.asyncio
@pytest.mark.parametrize("name", COSTLY)
async def test_whatever_it_is_a_fifth_of_a_second_of_a_core_is_enough(sanitizer: Sanitizer, name: str) -> None:
    await sanitizer.document(PLAIN, {})
    process, took = the_worker(), []
    before = used(process)
    await sanitizer.document("word " * (len(COSTLY[name]) // 5), {})  # a plain mail of its size costs something, too
    plain = used(process) - before
    for _ in range(8):  # the least of some: others work on this machine, too
        before = used(process)
        made = await sanitizer.document(COSTLY[name], {})
        took.append(used(process) - before)
        if took[-1] - plain <= 0.2:
            break
    assert min(took) - plain <= 0.2
    assert len(made.html.encode()) <= 1_000_000
    assert "What a person may read." in (await sanitizer.document(PLAIN, {})).html


@pytest.mark.asyncio
async def test_an_ordinary_message_of_the_largest_size_is_shown_as_it_is(sanitizer: Sanitizer) -> None:
    piece = worker._SAMPLE[:200]
    html = (worker._SAMPLE * (LONGEST // len(worker._SAMPLE) + 1))[:LONGEST]
    assert piece in html
    made = [await sanitizer.document(html, {}) for _ in range(3)]
    assert any(not one.cut for one in made), "unless the machine is busy all the time"


@pytest.mark.asyncio
async def test_what_takes_too_long_is_text(sanitizer: Sanitizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped stands for all that no limit of its own ends."""
    await sanitizer.document(PLAIN, {})
    monkeypatch.setattr("mailcore.html.sanitizer._WITHIN", 0.2)
    the_worker().suspend()

    began = time.monotonic()
    made = await sanitizer.document("<p>a &amp; b</p>" * 3, {})

    assert time.monotonic() - began < 10
    assert TOO_LONG in made.html
    assert "a &amp; b" in made.html
    assert made.cut
    monkeypatch.undo()
    assert not (await sanitizer.document(PLAIN, {})).cut


@pytest.mark.asyncio
async def test_a_worker_that_was_killed_is_replaced(sanitizer: Sanitizer) -> None:
    await sanitizer.document(PLAIN, {})
    gone = the_worker()
    gone.kill()
    await asyncio.to_thread(os.waitid, os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)

    assert not (await sanitizer.document(PLAIN, {})).cut


@pytest.mark.asyncio
async def test_who_goes_away_meanwhile_gets_no_other_message_in_its_place(sanitizer: Sanitizer) -> None:
    await sanitizer.document(PLAIN, {})
    os.kill(the_worker().pid, signal.SIGSTOP)
    task = asyncio.create_task(sanitizer.document("<p>for somebody else</p>", {}))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert "What a person may read." in (await sanitizer.document(PLAIN, {})).html


@pytest.mark.asyncio
async def test_it_ends_with_whoever_started_it(sanitizer: Sanitizer) -> None:
    await sanitizer.document(PLAIN, {})
    process = the_worker()
    await sanitizer.close()
    assert not process.is_running()
