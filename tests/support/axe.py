"""axe-core, the accessibility checker, in a page that is open in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.programs import missing

SCRIPT: Final = Path(__file__).resolve().parents[2] / ".make/npm/node_modules/axe-core/axe.min.js"
GRAVE: Final = {"serious", "critical"}


def need_axe() -> str:
    """Its source."""
    if not SCRIPT.exists():
        missing("axe-core is not installed: make .make/npm/.installed")
    return SCRIPT.read_text()


def grave_faults(page: Page, *, colours_alone: bool = False) -> list[str]:
    """What is serious or critical, each with the rule and the first elements. `colours_alone`: by the rules that look
    at colours; to the others a page in another scheme is the same page."""
    # Evaluated, not added as a script: our content security policy allows none but our own files.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(need_axe())
    found: list[dict[str, Any]] = page.evaluate(
        """async (rules) => (await axe.run(document, {
            resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {})
        })).violations""",
        ["color-contrast", "link-in-text-block"] if colours_alone else None,
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(f"{node['html'][:200]} [{node['failureSummary']}]" for node in one["nodes"][:3])
        for one in found
        if one["impact"] in GRAVE
    ]
