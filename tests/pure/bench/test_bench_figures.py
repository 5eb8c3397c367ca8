"""Figures, their plots, and what is worse than before."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import baseline, page
from bench.baseline import Run
from bench.calls import counted
from bench.figures import Figures, number
from bench.goals import verdicts
from bench.hops import HOPS, fetched, steps
from bench.machine import words

MACHINE = {
    "processor": "X",
    "cores": 2,
    "memory_gb": 8,
    "fsyncs_a_second": 900,
    "python": "3.11.7",
    "nats_server": "2.15.1",
}


def _figures(ratio: float = 1.5) -> Figures:
    figures = Figures()
    for value in (ratio, ratio + 0.1, ratio + 0.2):
        figures.add("backfill", "mozzart, SQLite", seconds=30 * value, of_mbsync=value, cpu=20, peak=140)
        figures.add("backfill", "mozzart, SQLite: syncer", cpu=5)
        figures.add("latency", "raw EXISTS → `new`", p50=2.0, p99=9.0)
        figures.add("slow link", "mozzart, 0 ms", rate=2_000)
    return figures


def _run(figures: Figures) -> Run:
    return Run("2026-01-01", MACHINE, {"messages": 20_000, "rounds": 3}, figures)


def test_a_figure_is_the_median_of_its_rounds_with_their_spread() -> None:
    figure = _figures().get("backfill", "mozzart, SQLite", "of_mbsync")

    assert str(figure) == "1.60 (1.50–1.70)"


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline.save("quick", _run(_figures()), path)
    baseline.save("full", _run(_figures(2)), path)

    kept = baseline.load(path)

    assert list(kept) == ["full", "quick"]
    assert list(kept["full"].figures) == list(_figures(2))
    assert kept["quick"].options == {"messages": 20_000, "rounds": 3}


@pytest.mark.parametrize(("now", "worse"), [(1.5, 0), (1.88, 0), (1.95, 1), (1.0, 0)])
def test_a_ratio_that_is_a_quarter_worse_is_named(now: float, worse: int) -> None:
    found, compared = baseline.worse(_figures(1.5), _figures(now))

    assert (len(found), compared) == (worse, 1)
    assert all("mozzart, SQLite" in one for one in found)


def test_seconds_of_another_machine_are_not_compared() -> None:
    before, now = Figures(), Figures()
    before.add("backfill", "mozzart, SQLite", seconds=10)
    now.add("backfill", "mozzart, SQLite", seconds=100)

    assert baseline.worse(before, now) == ([], 0)


def test_goals_are_met_or_missed_in_their_own_direction() -> None:
    met = {one.figure.name: one.met for one in verdicts(_figures())}

    assert met == {
        "backfill: mozzart, SQLite, × mbsync": False,
        "backfill: mozzart, SQLite, processor, s": True,
        "backfill: mozzart, SQLite, peak, MB": True,
        "latency: raw EXISTS → `new`, p50, ms": True,
        "latency: raw EXISTS → `new`, p99, ms": False,
        "slow link: mozzart, 0 ms, messages/s": False,
    }


def test_tables_and_plots_show_every_figure() -> None:
    run = _run(_figures())

    text = page.tables(run)

    assert words(MACHINE) in text
    assert "| mozzart, SQLite | 48 (45–51) | 1.60 (1.50–1.70) | 20 | 140 |" in text
    for name, svg in page.plots(run.figures).items():
        root = ElementTree.fromstring(svg)  # our own
        assert f"plots/{name}" in text
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(rect.attrib["width"]) >= 0


@given(st.floats(min_value=0, max_value=1e9))
def test_a_number_keeps_three_digits(value: float) -> None:
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=0.01, abs_tol=0.006)


def test_system_calls_are_counted_by_what_they_moved() -> None:
    found = counted(
        '12 read(5, ""..., 65536) = 1000\n'
        "13 recvfrom(6,  <unfinished ...>\n"
        "12 fsync(7) = 0\n"
        '13 <... recvfrom resumed>""..., 4096, 0, NULL, NULL) = 24\n'
        '12 write(7, ""..., 9) = 9\n'
        "12 read(5, 0x1, 9) = -1 EAGAIN (Resource temporarily unavailable)\n"
        "12 +++ exited with 0 +++\n"
    )

    assert (found.read, found.written, found.syncs, found.count.total()) == (1024, 9, 1, 4)


def test_the_hops_of_a_message_are_read_from_the_trace_of_its_connection() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    trace = "\n".join(
        f"{(at + timedelta(milliseconds=ms)).isoformat(timespec='microseconds').replace('+00:00', 'Z')} {said}"
        for ms, said in enumerate(
            (
                "2 S: * 7 EXISTS",
                "1 S: * 8 EXISTS",
                "1 C: DONE",
                "2 C: DONE",
                "1 S: A5 OK Idle completed (0.001 secs).",
                "1 C: A6 UID FETCH 8:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.9>)",
                "1 S: * 8 FETCH (UID 8 FLAGS () RFC822.SIZE 3 BODY[]<0> {3})",
            )
        )
    )
    times = fetched(trace)[8]

    assert {hop: round((when - at.timestamp()) * 1000) for hop, when in times.items()} == {
        "EXISTS at the syncer": 1,
        "DONE sent": 2,
        "IDLE has ended": 4,
        "FETCH sent": 5,
        "the message is here": 6,
    }
    assert steps(times) == {}, "not all hops were seen"
    assert round(steps(times | dict.fromkeys(HOPS, at.timestamp() + 1))["raw EXISTS → EXISTS at the syncer"]) == 0


def test_the_page_shows_the_figures_that_are_kept() -> None:
    kept = baseline.load().get("full")
    written = page.PAGE.read_text().partition(page.BEGIN)[2].partition(page.END)[0]

    assert written == (page.tables(kept) if kept else "")
    drawn = {path.name: path.read_text() for path in page.PLOTS.glob("*.svg")}
    assert drawn == (page.plots(kept.figures) if kept else {})
