"""Which streams hold what a subject filter asks for. Pure."""

from __future__ import annotations

from mailcore.bus.layout.streams import SUBJECTS


def intersection(wanted: str, pattern: str) -> str | None:
    """The subjects that match both, as one subject filter; None if there are none.

    Each of the two may hold `*` and end with `>`.
    """
    out: list[str] = []
    left, right = wanted.split("."), pattern.split(".")
    while left and right:
        if left[0] == ">":
            return ".".join(out + right)
        if right[0] == ">":
            return ".".join(out + left)
        a, b = left.pop(0), right.pop(0)
        if a != b and "*" not in (a, b):
            return None
        out.append(b if a == "*" else a)
    return None if left or right else ".".join(out)


def filters_by_stream(wanted: str) -> dict[str, list[str]]:
    """Which streams hold subjects that match `wanted`, and by which filters."""
    out: dict[str, list[str]] = {}
    for stream, patterns in SUBJECTS.items():
        found = [both for pattern in patterns if (both := intersection(wanted, pattern)) is not None]
        if found:
            out[stream] = found
    return out
