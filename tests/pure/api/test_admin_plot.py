"""Figures over time: what is counted where, and the SVG they become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from api.admin.plot import latency, percentile, series, throughput
from mailcore.store import StoredAt

NOW = datetime(2026, 11, 22, 21, 57, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STORED = st.builds(
    lambda back, took, kind, size: StoredAt(
        NOW - timedelta(seconds=back), None if took is None else NOW - timedelta(seconds=back + took), kind, size
    ),
    st.floats(-100, 8000),
    st.none() | st.floats(-5, 100_000),
    st.sampled_from(["new", "backfill", None]),
    st.integers(0, 10**12),
)


def test_each_message_counts_in_the_minute_it_was_stored_in_and_backfill_apart() -> None:
    stored = [
        StoredAt(NOW, NOW - timedelta(milliseconds=20), "new", 10),
        StoredAt(NOW - 2 * MINUTE, None, "backfill", 5),
        StoredAt(NOW - 90 * MINUTE, None, "new", 7),
    ]
    data = series(stored, NOW, MINUTE, 60)

    assert data.buckets[-1].begin == datetime(2026, 11, 22, 21, 57, tzinfo=UTC)
    assert [(at, one.new, one.old) for at, one in enumerate(data.buckets) if one.count] == [(57, 0, 1), (59, 1, 0)]
    assert (data.count, data.size, data.seconds) == (2, 15, [0.02])


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) is None
    assert percentile([1.0], 0.95) == 1.0
    assert percentile([float(one) for one in range(1, 101)], 0.95) == 95.0


@given(st.lists(STORED, max_size=40))
def test_whatever_was_measured_the_plots_are_well_formed_and_stay_inside(stored: list[StoredAt]) -> None:
    data = series(stored, NOW, MINUTE, 60)
    for drawn in (latency(data, UTC), throughput(data, UTC)):
        root = ElementTree.fromstring(str(drawn))
        for one in root.iter():
            for name in ("y", "y1", "cy"):
                assert -1 <= float(one.get(name, "0")) <= 190
            for name in ("x", "x1", "cx"):
                assert -1 <= float(one.get(name, "0")) <= 640


def bars(drawn: Markup) -> list[tuple[float, float]]:
    """Heights of the bars that are seen, (new, old) for each step that has any."""
    groups = [group.findall("rect") for group in ElementTree.fromstring(str(drawn)).iter("g")]
    return [(float(new.get("height", "0")), float(old.get("height", "0"))) for new, old in groups]


def test_a_few_new_messages_are_seen_beside_thousands_of_backfilled_ones() -> None:
    stored = [StoredAt(NOW - 5 * MINUTE, None, "backfill", 1)] * 3000
    stored += [StoredAt(NOW - at * MINUTE, None, "new", 1) for at in (1, 2, 3) for _ in range(50)]

    heights = bars(throughput(series(stored, NOW, MINUTE, 60), UTC))

    assert len(heights) == 4
    assert max(old for _, old in heights) >= 30
    assert all(new >= 90 for new, old in heights if not old)


def test_where_all_are_of_one_kind_they_have_the_whole_height() -> None:
    for kind in ("new", "backfill"):
        ((new, old),) = bars(throughput(series([StoredAt(NOW, None, kind, 1)] * 100, NOW, MINUTE, 60), UTC))
        assert max(new, old) == 156.0
        assert min(new, old) == 0.0


def test_axes_and_bars_tell_the_times_of_the_zone() -> None:
    data = series([StoredAt(NOW, None, "new", 1)], NOW, MINUTE, 60)

    assert "21:57: 1 new" in throughput(data, UTC)
    assert "03:27: 1 new" in throughput(data, ZoneInfo("Asia/Kolkata"))
