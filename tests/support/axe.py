"""axe-core, the accessibility checker, in a page that is open in Chromium."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

SCRIPT: Final = Path(__file__).resolve().parents[2] / ".make/npm/node_modules/axe-core/axe.min.js"
GRAVE: Final = {"serious", "critical"}


def need_axe() -> str:
    """Its source. Not installed: the test is skipped on a person's machine and fails in CI."""
    if SCRIPT.exists():
        return SCRIPT.read_text()
    words = "axe-core is not installed: make .make/npm/.installed"
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(words, pytrace=False)
    # `make test` installs it; who calls pytest alone may do so without npm. Never in CI.
    pytest.skip(words)


def grave_faults(page: Page) -> list[str]:
    """What is serious or critical, each with the rule and the first elements."""
    # Evaluated, not added as a script: our content security policy allows none but our own files.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(need_axe())
    found: list[dict[str, Any]] = page.evaluate(
        """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations"""
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(f"{node['html'][:200]} [{node['failureSummary']}]" for node in one["nodes"][:3])
        for one in found
        if one["impact"] in GRAVE
    ]
