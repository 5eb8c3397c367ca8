"""docs/verify.v1.json is what `mozzart verify --json` prints, and docs/operations.md has every category."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema

from cli.verify.comparison import Differences
from cli.verify.files import Files
from cli.verify.mailbox import Compared
from cli.verify.report import Report, schema, told
from mailcore.difference import Category
from mailcore.events.control import RefusedMessage
from mailcore.events.identity import MailboxKey
from mailcore.store.attachments import StoredFile

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOW = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)


def test_the_schema_is_that_of_the_code() -> None:
    assert (DOCS / "verify.v1.json").read_text() == schema(), "run: python -m cli.verify.report"


def test_what_is_printed_fits_the_schema() -> None:
    refused = RefusedMessage(uid=3, reason="NO", since=NOW, tries=1, next_try=NOW)
    every = {category: frozenset({(7, 3)}) for category in Category if not category.startswith("file_")}
    differs = Compared(MailboxKey("a", "Ä\ud800"), 7, differences=Differences(every), refused=(refused,))
    file = StoredFile(1, 2, 3, "0" * 64, "mail_attachments/x")
    files = Files(1, 3, {category: [file] for category in Category if category.startswith("file_")}, ["y"])
    validator = jsonschema.Draft202012Validator(json.loads(schema()), format_checker=jsonschema.FormatChecker())
    for report in (
        Report(NOW),
        Report(NOW, mailboxes=[differs], failed={"b": "no route"}, files=files, notes=["a note"]),
    ):
        said = json.loads(json.dumps(told(report, NOW).model_dump(mode="json")))
        validator.validate(said)
        assert said["ok"] == (said["status"] == "equal")
        del said["totals"]
        assert not validator.is_valid(said)


def test_every_category_has_its_row_in_the_runbook_and_nothing_else_has() -> None:
    section = (DOCS / "operations.md").read_text().split("## When the two sides differ", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .{30,} \|$", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Category)
