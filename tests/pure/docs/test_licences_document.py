"""docs/licences.md has every package of requirements/runtime.txt with its version and its licence, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
ROWS = re.findall(
    r"^\| ([a-z0-9-]+) \| ([\w.+-]+) \| (.+) \|$", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE
)


def pinned() -> set[tuple[str, str]]:
    """What is installed on Linux, where the SBOM is made."""
    lines = re.findall(r"^([\w.\[\]-]+==.+?) \\$", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    wanted = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {(one.name, next(iter(one.specifier)).version) for one in wanted}


def test_it_lists_what_is_pinned() -> None:
    assert {(name, version) for name, version, _ in ROWS} == pinned(), "`make sbom` makes the page anew"


def test_every_licence_may_be_used_under_ours() -> None:
    """Permissive ones, and those that GPL-3.0-or-later may be combined with."""
    known = re.compile(r"\b(MIT|BSD|Apache|ISC|PSF-2|MPL-2|L?GPL-3)")
    assert ROWS
    assert [row for row in ROWS if not known.search(row[2])] == []
