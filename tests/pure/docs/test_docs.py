"""What the documents say exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from cli.main import root as mozzart

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def _anchors(document: Path) -> set[str]:
    """GitHub's anchors of its headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _code(document: Path) -> list[str]:
    """Every line of a fenced block and every piece of inline code."""
    text = document.read_text()
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in fenced for line in block.splitlines()] + inline


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path) if path else document
        assert found.exists(), f"{document.name} links to {target}"
        if anchor and found.suffix == ".md":
            assert anchor in _anchors(found), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for code in _code(document) if (found := re.match(r"make ([a-z-]+)", code))}

    assert named <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_mozzart_command_that_is_named_exists(document: Path) -> None:
    for code in _code(document):
        found = re.match(r"(?:\.venv/bin/)?mozzart((?: [a-z-]+)+)", code)
        command: click.Command = mozzart
        for word in found[1].split() if found else ():
            if not isinstance(command, click.Group):
                break
            assert word in command.commands, code
            command = command.commands[word]


def test_every_decision_is_in_the_list_of_decisions() -> None:
    pages = {path.name for path in (ROOT / "docs" / "adr").glob("0*.md")}
    listed = re.findall(r"\]\((0[^)]+)\)", (ROOT / "docs" / "adr" / "README.md").read_text())

    assert sorted(listed) == sorted(pages)


def test_every_make_target_says_what_it_does() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("install", "demo", "run", "test", "check", "bench", "system", "lock", "clean"):
        assert re.search(rf"make {target} +\S", said), target
