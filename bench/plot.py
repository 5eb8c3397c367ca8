"""Bars as SVG, for light and dark pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.figures import Figure, number

_LEFT, _WIDE, _RIGHT, _LINE, _TOP = 250, 420, 130, 26, 44
_COLOURS = ("#2f6fb3", "#d08a2e", "#4f9a5b", "#9a5fb0", "#8a8f98", "#b8504f")
_STYLE = """text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}
.spread{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.spread{stroke:#e6edf3}}"""


@dataclass(frozen=True)
class Bar:
    """`parts` lie end to end: (what, how long)."""

    name: str
    parts: Sequence[tuple[str, float]]
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(length for _, length in self.parts)


def bar(name: str, figure: Figure) -> Bar:
    """Its median, with the spread of its rounds."""
    return Bar(name, [(figure.column, figure.median)], min(figure.values), max(figure.values))


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """One line a bar, all from zero; what their parts are stands below if there is more than one."""
    scale = _WIDE / max([row.high for row in rows] + [row.total for row in rows] + [1e-9])
    kinds = list(dict.fromkeys(what for row in rows for what, _ in row.parts))
    height = _TOP + _LINE * (len(rows) + (len(kinds) > 1)) + 12
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDE + _RIGHT} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="8" y="24">{escape(title)}, {escape(unit)}</text>',
    ]
    for line, row in enumerate(rows):
        y, x = _TOP + _LINE * line, float(_LEFT)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(row.name)}</text>')
        for what, length in row.parts:
            colour = _COLOURS[kinds.index(what) % len(_COLOURS)]
            out.append(f'<rect x="{x:.1f}" y="{y + 2}" width="{length * scale:.1f}" height="18" fill="{colour}"/>')
            x += length * scale
        low, high = _LEFT + row.low * scale, _LEFT + row.high * scale
        out.append(f'<path class="spread" d="M{low:.1f} {y + 11}H{high:.1f}"/>')
        out.append(f'<text x="{max(x, high) + 8:.1f}" y="{y + 15}">{number(row.total)}</text>')
    if len(kinds) > 1:
        x, y = float(_LEFT), _TOP + _LINE * len(rows)
        for index, what in enumerate(kinds):
            out.append(
                f'<rect x="{x:.1f}" y="{y + 6}" width="12" height="12" fill="{_COLOURS[index % len(_COLOURS)]}"/>'
            )
            out.append(f'<text x="{x + 17:.1f}" y="{y + 17}">{escape(what)}</text>')
            x += 36 + 7.4 * len(what)
    return "\n".join([*out, "</svg>", ""])
