"""Every invariant of docs/design.md has a test that is marked with it: @pytest.mark.invariant("I1")."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INVARIANTS = re.findall(r"^\| (I\d+) ", (ROOT / "docs" / "design.md").read_text(), re.MULTILINE)


def marks(path: Path) -> Iterator[tuple[str, str]]:
    """(invariant, test) for each mark on a test function of that file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.invariant":
                for argument in mark.args:
                    yield ast.literal_eval(argument), f"{path.name}::{node.name}"


@cache
def marked() -> list[tuple[str, str]]:
    return [mark for path in sorted((ROOT / "tests").rglob("test_*.py")) for mark in marks(path)]


def test_the_document_lists_ten() -> None:
    assert [f"I{number}" for number in range(1, 11)] == INVARIANTS


def test_each_has_a_test_that_is_marked_with_it() -> None:
    assert not set(INVARIANTS) - {name for name, _ in marked()}


def test_no_test_is_marked_with_another_name() -> None:
    assert not [(name, test) for name, test in marked() if name not in INVARIANTS]
