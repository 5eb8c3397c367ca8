"""docs/development.md names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "development.md").read_text()
PATH = re.compile(
    r"(?<![\w/.-])((?:\.ci|api|bench|cli|config|consumers|deploy|docs|examples|mailcore|supervisor|syncer|tests|webhooks)"
    r"/[\w./*-]*|pyproject\.toml)"
)
PATHS = sorted({found.rstrip(".") for found in PATH.findall(TEXT)})


@pytest.mark.parametrize("path", PATHS)
def test_every_path_that_is_named_exists(path: str) -> None:
    assert list(ROOT.glob(path.rstrip("/"))), path


def test_every_package_has_its_place_in_the_table() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    table = TEXT.partition("## Where what is")[2].partition("## Add")[0]
    assert not {package for package in packages if f"`{package}/" not in table}


@pytest.mark.parametrize("module", sorted(re.findall(r"`(tests/support/\w+\.py)`: `(\w+)", TEXT)))
def test_every_class_that_is_named_is_in_its_module(module: tuple[str, str]) -> None:
    path, name = module
    assert re.search(rf"^class {name}\b", (ROOT / path).read_text(), re.MULTILINE)


def test_every_fixture_that_is_named_exists() -> None:
    named = {name for line in re.findall(r"\| fixtures? (.+) \|", TEXT) for name in re.findall(r"`(\w+)`", line)}
    defined = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"@pytest\.fixture(?:\([^)]*\))?\ndef (\w+)", path.read_text())
    }
    assert named
    assert not named - defined
