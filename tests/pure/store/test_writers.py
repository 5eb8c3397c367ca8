"""I6: each table has one writer. The syncer writes mailbox states, consumers write messages and attachments, api and
commands the accounts that people tell them of; whoever else runs beside them reads. `mozzart verify` keeps reports of
its own."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
OWNERS: Final[dict[str, tuple[str, ...]]] = {
    "save_mailbox": ("syncer",),
    "rename_mailbox": ("syncer",),
    "add_account": ("api", "cli"),
    "change_account": ("api", "cli"),
    "pause_account": ("api", "cli"),
    "remove_account": ("api", "cli"),
    "add_api_token": ("api", "cli"),
    "use_api_token": ("api",),
    "revoke_api_token": ("api", "cli"),
    "add_audit_entry": ("api", "cli"),
    "save_budget": ("syncer",),
    "delete_messages": ("consumers",),
    "delete_mailboxes": ("syncer",),
    "begin_verify": ("cli",),
    "save_verify": ("cli",),
    "insert_messages": ("consumers",),
    "mark_told": ("consumers",),
    "rebind": ("consumers",),
    "mark_expunged": ("consumers",),
    "mark_present": ("consumers",),
    "set_flags": ("consumers",),
    "prune": ("consumers",),
    # Under the account's lock, whichever process has it.
    "save_token": ("mailcore.oauth",),
    "make_searchable": ("consumers",),
}


def written_by_store() -> set[str]:
    """The public methods of Store that write."""
    tree = ast.parse((ROOT / "mailcore/store/store.py").read_text())
    (store,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Store"]
    return {
        method.name
        for method in store.body
        if isinstance(method, ast.AsyncFunctionDef)
        and not method.name.startswith("_")
        and any(ast.unparse(node) == "self._write" for node in ast.walk(method) if isinstance(node, ast.Attribute))
    }


def used_in(package: str) -> set[str]:
    """Attributes named anywhere in that package, called or handed on (`aio(store.save_mailbox, …)`)."""
    trees = (ast.parse(path.read_text()) for path in (ROOT / package).rglob("*.py"))
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_method_that_writes_has_an_owner() -> None:
    assert written_by_store() == set(OWNERS)


@pytest.mark.invariant("I6")
@pytest.mark.parametrize("package", ["syncer", "consumers", "api", "webhooks"])
def test_nobody_writes_what_another_one_owns(package: str) -> None:
    assert not {name for name in used_in(package) & set(OWNERS) if package not in OWNERS[name]}


@pytest.mark.invariant("I6")
@pytest.mark.parametrize("package", ["api", "webhooks"])
def test_who_only_reads_has_no_statement_of_its_own(package: str) -> None:
    """Not past the store, either."""
    imported = {
        name
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not {name for name in imported if name.split(".")[0] in ("sqlalchemy", "sqlite3", "asyncpg", "aiosqlite")}
