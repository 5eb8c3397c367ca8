"""docs/providers.md says what the presets say."""

from __future__ import annotations

import re
from pathlib import Path

from mailcore.discovery.preset import PRESETS, counts_by_account

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "providers.md").read_text()


def test_the_table_is_that_of_the_presets() -> None:
    rows = re.findall(
        r"^\| ([^|`]+) \| `([^`]+)` \| (\w+) \| (account|address) \| (\d*) ?\| (\d*) ?\|$", TEXT, re.MULTILINE
    )
    assert rows == [
        (
            one.name,
            one.host,
            one.way,
            "account" if one.zones else "address",
            str(one.connections or ""),
            str(one.daily_mb or ""),
        )
        for one in PRESETS
    ]
    assert all(counts_by_account(one.host) == bool(one.zones) for one in PRESETS)


def test_each_provider_has_its_section() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == [*(one.name for one in PRESETS), "Any other"]
