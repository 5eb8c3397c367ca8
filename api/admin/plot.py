"""Figures over time as inline SVG: what was stored, and how long it took. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from markupsafe import Markup

from api.admin.quantity import counted, size, span, took
from mailcore.store import StoredAt

_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 24
_INNER_WIDTH: Final = _WIDTH - _LEFT - _RIGHT
_INNER_HEIGHT: Final = _HEIGHT - _TOP - _BOTTOM
_SHORTEST: Final = 0.001
_NEW_SHARE: Final = 0.65  # of the height


@dataclass(slots=True)
class Bucket:
    """What was stored from `begin` on, for one step. `seconds`: from the server's hint to the commit, of new mail."""

    begin: datetime
    new: int = 0
    old: int = 0  # backfill and copies
    size: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.new + self.old


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets without a gap; the last one is not over yet."""

    step: timedelta
    buckets: tuple[Bucket, ...]

    @property
    def seconds(self) -> list[float]:
        return sorted(one for bucket in self.buckets for one in bucket.seconds)

    @property
    def count(self) -> int:
        return sum(bucket.count for bucket in self.buckets)

    @property
    def mixed(self) -> bool:
        """There is new mail, and there is other."""
        return any(bucket.new for bucket in self.buckets) and any(bucket.old for bucket in self.buckets)

    @property
    def size(self) -> int:
        return sum(bucket.size for bucket in self.buckets)


def series(stored: Iterable[StoredAt], now: datetime, step: timedelta, number: int) -> Series:
    """`number` buckets of `step`, on the clock's own marks, the last of which holds `now`."""
    seconds = step.total_seconds()
    last = math.floor(now.timestamp() / seconds)
    buckets = [Bucket(datetime.fromtimestamp((last - back) * seconds, UTC)) for back in reversed(range(number))]
    for one in stored:
        at = number - 1 - (last - math.floor(one.stored_at.timestamp() / seconds))
        if not 0 <= at < number:
            continue
        bucket = buckets[at]
        bucket.size += one.size
        if one.kind in ("backfill", "copy"):
            bucket.old += 1
        else:
            bucket.new += 1
            if one.pushed_at is not None:
                bucket.seconds.append(max(0.0, (one.stored_at - one.pushed_at).total_seconds()))
    for bucket in buckets:
        bucket.seconds.sort()
    return Series(step, tuple(buckets))


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The value that `share` of them do not exceed; None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def throughput(data: Series, zone: tzinfo) -> Markup:
    """Bars: messages stored in each step. Where there are both, new ones go up, backfill and copies down on a scale of
    their own, so that a few new ones are seen beside thousands of old ones."""
    share = _NEW_SHARE if data.mixed else 1.0
    up, down = _INNER_HEIGHT * share, _INNER_HEIGHT * (1 - share)
    most = _nice(max(bucket.new if data.mixed else bucket.count for bucket in data.buckets))
    most_old = _nice(max(bucket.old for bucket in data.buckets))
    marks = [(1 - share * (1 - level / most), f"{level:,}") for level in _levels(most)]
    if data.mixed:
        marks.append((0.0, f"{most_old:,}"))
    wide = _INNER_WIDTH / len(data.buckets)
    parts = [_grid(marks, lambda place: place)]
    for index, bucket in enumerate(data.buckets):
        if not bucket.count:
            continue
        at = _clock(bucket.begin, zone)
        words = f"{at}: {bucket.new:,} new, {bucket.old:,} backfill and copies, {size(bucket.size)}"
        x, middle, new = _LEFT + index * wide + wide * 0.1, _TOP + up, up * bucket.new / most
        old = down * bucket.old / most_old if data.mixed else up * bucket.old / most
        parts.append(
            Markup(
                '<g><title>{}</title><rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>'
                '<rect class="bar backfill" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/></g>'
            ).format(
                words, x, middle - new, wide * 0.8, new, x, middle if data.mixed else middle - old, wide * 0.8, old
            )
        )
    total = sum(bucket.new for bucket in data.buckets)
    return _frame(data, zone, parts, f"Stored: {total:,} new, {data.count - total:,} backfill and copies")


def latency(data: Series, zone: tzinfo) -> Markup:
    """Two lines on a logarithmic scale: the median and the 95th percentile of each step."""
    every = data.seconds
    low = 10 ** math.floor(math.log10(max(every[0], _SHORTEST))) if every else _SHORTEST
    high = max(10 ** math.ceil(math.log10(max(every[-1], _SHORTEST) * 1.0001)), low * 10) if every else 1.0
    decades = round(math.log10(high / low))

    def height(seconds: float) -> float:
        return math.log10(min(max(seconds, low), high) / low) / decades

    levels = [low * 10**power for power in range(decades + 1)]
    parts = [_grid([(level, span(level)) for level in levels], height)]
    wide = _INNER_WIDTH / len(data.buckets)
    for share, line, point in ((0.95, "p95", "point95"), (0.5, "p50", "point50")):
        run: list[tuple[float, float, str]] = []
        runs = [run]
        for index, bucket in enumerate(data.buckets):
            value = percentile(bucket.seconds, share)
            if value is None:
                run = []
                runs.append(run)
                continue
            y = _TOP + _INNER_HEIGHT * (1 - height(value))
            words = f"{_clock(bucket.begin, zone)}: {line} {took(value)} of {counted(len(bucket.seconds), 'message')}"
            run.append((_LEFT + (index + 0.5) * wide, y, words))
        for points in filter(None, runs):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
            parts.append(Markup('<polyline class="{}" points="{}"/>').format(line, path))
            parts += [
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.6"><title>{}</title></circle>').format(
                    point, x, y, words
                )
                for x, y, words in points
            ]
    return _frame(data, zone, parts, "From the server's hint to the commit, of new mail: median and 95th percentile")


def _levels(most: int) -> list[int]:
    return [0, most // 2, most] if most % 2 == 0 else [0, most]


def _nice(most: int) -> int:
    """The next number of 1, 2, 5 × a power of ten, two at least."""
    decade = 1
    while True:
        for factor in (1, 2, 5):
            if factor * decade >= max(most, 2):
                return factor * decade
        decade *= 10


def _grid(levels: Sequence[tuple[float, str]], height: Callable[[float], float]) -> Markup:
    out = Markup("")
    for level, words in levels:
        y = _TOP + _INNER_HEIGHT * (1 - height(level))
        out += Markup(
            '<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
            '<text class="label" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        ).format(_LEFT, _WIDTH - _RIGHT, y, y, _LEFT - 6, y + 4, words)
    return out


def _frame(data: Series, zone: tzinfo, parts: Iterable[Markup], label: str) -> Markup:
    every = max(1, len(data.buckets) // 6)
    wide = _INNER_WIDTH / len(data.buckets)
    marks = Markup("").join(
        Markup('<text class="label" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _LEFT + (index + 0.5) * wide, _HEIGHT - 6, _clock(bucket.begin, zone)
        )
        for index, bucket in enumerate(data.buckets)
        if index % every == every // 2
    )
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(parts), marks
    )


def _clock(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%H:%M}"
