"""The regular verification, and where people and programs find what it found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import PASSWORD, PHONE, Visitor
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


@pytest.fixture
def mozzart(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    """With three messages of two files, stored, and a verification every second."""
    dovecot.append_many([make_mail(number, files=(500, 700)).raw for number in range(3)])
    made = make_mozzart(VERIFY_INTERVAL="1", VERIFY_DEEP="True", ADMIN_PASSWORD=PASSWORD, SYNC_INTERVAL="3600")
    made.use(dovecot).start().wait_ready().wait_stored(3)
    return made


@pytest.fixture
def visitor(chromium: Browser, mozzart: Mozzart) -> Iterator[Visitor]:
    made = Visitor(chromium.new_context(viewport=PHONE), f"http://127.0.0.1:{mozzart.api_port}")
    yield made
    made.context.close()
    assert made.faults == []


def reports(mozzart: Mozzart) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mozzart.http("GET", "/api/verify/").json["reports"]
    return found


def metric(mozzart: Mozzart, name: str) -> float:
    (line,) = [line for line in mozzart.http("GET", "/metrics").text.splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


def test_what_the_regular_verification_finds_is_in_the_api_on_the_page_and_in_the_metrics(
    mozzart: Mozzart, dovecot: Dovecot, visitor: Visitor
) -> None:
    def newest(status: str) -> bool:
        ended = [one for one in reports(mozzart) if one["status"] != "running" and one["by"] == "verifier"]
        return any(one["status"] == status for one in ended[:1])

    wait_until(lambda: newest("equal"), lambda: f"equal\n{reports(mozzart)[:2]}\n{mozzart.log_text()[-2000:]}")
    page = visitor.sign_in("/admin/verify/")
    expect(page.get_by_text("Server and database are the same, byte by byte.")).to_be_visible()
    assert metric(mozzart, 'mozzart_verify_findings{category="missing"') == 0
    assert metric(mozzart, "mozzart_verify_interval_seconds") == 1
    assert metric(mozzart, "mozzart_verify_timestamp_seconds") > 1_700_000_000

    first, *_ = sorted(mozzart.files())
    (mozzart.media / first).unlink()
    dovecot.create("<b>Left</b>")
    mozzart.execute("INSERT INTO mailbox_app_mailboxstate (account, mailbox) VALUES ('default', '<b>Left</b>')")
    mozzart.execute(
        "UPDATE mailbox_app_mailmessage SET mailbox_id ="
        " (SELECT id FROM mailbox_app_mailboxstate WHERE mailbox = '<b>Left</b>') WHERE uid = 3"
    )

    def all_found() -> list[dict[str, Any]]:
        return [one for one in reports(mozzart) if sum(one["totals"].values()) == 3]

    wait_until(all_found, "the differences are found", within=40)

    report = all_found()[0]
    detail = mozzart.http("GET", f"/api/verify/{report['id']}/").json
    assert {name: count for name, count in detail["totals"].items() if count} == {
        "missing": 1,
        "no_mailbox": 1,
        "file_missing": 1,
    }
    assert {one["category"]: one["file"] or one["mailbox"] for one in detail["findings"]} == {
        "missing": "INBOX",
        "no_mailbox": "<b>Left</b>",
        "file_missing": first,
    }
    assert metric(mozzart, 'mozzart_verify_findings{category="no_mailbox"') == 1
    page = visitor.open(f"/admin/verify/{report['id']}/")
    expect(page.locator('[data-category="file_missing"]')).to_contain_text(first)
    expect(page.locator('[data-category="file_missing"] code')).to_have_text("mozzart sync")
    expect(page.locator('[data-category="no_mailbox"]')).to_contain_text("<b>Left</b>")
    expect(page.locator('[data-figure="differences"]')).to_have_text("3")
    if path := os.environ.get("SCREENSHOT"):
        page.screenshot(path=path, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "nothing sticks out"
    assert mozzart.http("GET", "/api/verify/999999/").status == 404

    dovecot.stop(gently=False)

    def unreached() -> list[str]:
        return [words for one in reports(mozzart)[:2] for words in one["failed"].values()]

    assert "127.0.0.1" in wait_until(unreached, "the server is away", within=40)[0]
    assert dovecot.password not in json.dumps(reports(mozzart))


def test_a_verifier_without_an_interval_says_that_it_has_nothing_to_do(make_mozzart: Callable[..., Mozzart]) -> None:
    ran = make_mozzart(NATS_URL="nats://127.0.0.1:1").run("verifier")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (78, 1)
    assert "VERIFY_INTERVAL" in ran.stderr
