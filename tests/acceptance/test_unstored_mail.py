"""A single mail that cannot be stored, though everything works: every command and page that is asked names it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from subprocess import CompletedProcess
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mailcore.bus import Bus
from tests.support.browser import PASSWORD, PHONE, Visitor
from tests.support.consumers import limit_bodies
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

LARGE = 12 << 20
# Where the reason is, in words: in the log of Dovecot, in the database, in our own limit.
WHY = {"Refused": r"hung up|ended|closed|NO ", "Dead": "poison", "Large": "MAIL_MAX_BYTES"}


def break_size(dovecot: Dovecot, mailbox: str) -> None:
    """Dovecot ends the connection when the only message of that mailbox is fetched."""
    folder = dovecot.home / "users" / dovecot.user / "mail" / f".{mailbox}"
    (file,) = (*folder.glob("cur/*"), *folder.glob("new/*"))
    name = re.sub(r",S=\d+", ",S=90000", re.sub(r",W=\d+", ",W=95000", file.name))
    file.rename(file.with_name(name))
    uids = folder / "dovecot-uidlist"
    uids.write_text(uids.read_text().replace(file.name.partition(":")[0], name.partition(":")[0]))
    for index in folder.glob("dovecot.index*"):
        index.unlink()
    dovecot.own(dovecot.home)


async def little_room(url: str) -> None:
    bus = await Bus.connect(url, name="test")
    try:
        await limit_bodies(bus, LARGE // 3)
    finally:
        await bus.close()


@pytest.fixture(scope="module")
def mozzart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mozzart]:
    """One good mail in INBOX, and one of each kind in mailboxes of those names."""
    need_program("dovecot", "dovecot-imapd")
    home = tmp_path_factory.mktemp("unstored")
    with closing(Dovecot()) as dovecot:
        dovecot.start()
        made = Mozzart(home, {"IMAP_MAILBOX": "*", "SYNC_INTERVAL": "2", "ADMIN_PASSWORD": PASSWORD}).use(dovecot)
        try:
            dovecot.append(make_mail(1).raw)
            made.start().wait_ready().wait_stored(1)
            made.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON mailbox_app_mailmessage WHEN NEW.subject = 'poison' "
                "BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
            asyncio.run(little_room((home / "data" / "nats.url").read_text().strip()))
            for name in WHY:
                dovecot.create(name)
            dovecot.append(make_mail(2).raw, "Refused")
            break_size(dovecot, "Refused")
            dovecot.append(b"Subject: poison\r\n\r\ndead\r\n", "Dead")
            dovecot.append(make_mail(3, files=(LARGE,)).raw, "Large")
            yield made
        finally:
            made.stop(within=20)


@pytest.fixture(scope="module")
def said(mozzart: Mozzart) -> dict[str, CompletedProcess[str]]:
    """What each command says once each mail has met its fate."""

    def settled() -> bool:
        states = mailboxes(mozzart)
        refused = all(states.get(name, {}).get("last_sync_status") == "incomplete" for name in ("Refused", "Large"))
        return refused and bool(mozzart.http("GET", "/api/dead-letters/").json["dead_letters"])

    wait_until(settled, lambda: f"refused, refused and dead\n{mozzart.log_text()[-4000:]}", within=60)
    commands = {"sync": ("sync",), "status": ("status",), "doctor": ("doctor",)}
    commands["verify"] = ("verify", "--wait", "1", "--no-files")
    return {name: mozzart.run(*words) for name, words in commands.items()}


def mailboxes(mozzart: Mozzart) -> dict[str, Any]:
    return {one["mailbox"]: one for one in mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]}


def about(mailbox: str, words: str) -> str:
    """The lines that name it, and those below that are indented."""
    lines = words.splitlines()
    heads = [number for number, line in enumerate(lines) if f"default/{mailbox}" in line]
    ends = [
        next((later for later in range(head + 1, len(lines)) if not lines[later].startswith(" ")), len(lines))
        for head in heads
    ]
    return "\n".join("\n".join(lines[head:end]) for head, end in zip(heads, ends, strict=True))


def test_none_says_that_all_is_well(said: dict[str, CompletedProcess[str]]) -> None:
    assert {name: one.returncode for name, one in said.items()} == {"sync": 3, "status": 0, "doctor": 0, "verify": 1}
    assert "All is well" not in said["doctor"].stdout
    assert len(re.findall("^!", said["status"].stdout, re.MULTILINE)) == 3


@pytest.mark.parametrize("mailbox", WHY)
def test_each_names_it_with_its_reason(mailbox: str, said: dict[str, CompletedProcess[str]], mozzart: Mozzart) -> None:
    sync = about(mailbox, said["sync"].stdout)
    assert "in step" not in sync
    verify = about(mailbox, said["verify"].stdout)
    assert "✗" in verify
    state = mailboxes(mozzart)[mailbox]
    if mailbox == "Dead":
        assert "dead letter" in verify
        assert "dead-lettered" in sync
        (letter,) = mozzart.http("GET", "/api/dead-letters/").json["dead_letters"]
        assert letter["mailbox"] == mailbox
        for name in ("status", "doctor"):
            assert "1 message could not be stored" in said[name].stdout
        assert WHY[mailbox] in mozzart.run("dead-letters", "list").stdout
        return
    for words in (sync, verify, about(mailbox, said["status"].stdout), about(mailbox, said["doctor"].stdout)):
        assert re.search(WHY[mailbox], words), words
    assert re.search(WHY[mailbox], state["last_error"])
    assert [one["uid"] for one in state["refused"]] == [1]


def test_what_is_good_is_well(said: dict[str, CompletedProcess[str]], mozzart: Mozzart) -> None:
    assert "in step" in about("INBOX", said["sync"].stdout)
    assert "✓" in about("INBOX", said["verify"].stdout)
    assert mailboxes(mozzart)["INBOX"]["last_sync_status"] == "ok"
    assert mozzart.http("GET", "/readyz").status == 200, "mail can be stored"


def test_pages_and_metrics_say_the_same(
    said: dict[str, CompletedProcess[str]], mozzart: Mozzart, chromium: Browser
) -> None:
    metrics = mozzart.http("GET", "/metrics").text
    for mailbox in ("Refused", "Large"):
        assert re.search(rf'^mozzart_refused_messages{{.*mailbox="{mailbox}".*}} 1.0$', metrics, re.MULTILINE)
    assert re.search(r'^mozzart_stream_messages{.*stream="MAIL_DEAD".*} 1.0$', metrics, re.MULTILINE)
    assert re.search(r'^mozzart_verify_findings{.*category="refused".*} 2.0$', metrics, re.MULTILINE)
    visitor = Visitor(chromium.new_context(viewport=PHONE), f"http://127.0.0.1:{mozzart.api_port}")
    try:
        page = visitor.sign_in("/admin/")
        troubles = page.locator("[data-trouble=refused]")
        expect(troubles).to_have_count(2)
        expect(troubles.filter(has_text="MAIL_MAX_BYTES")).to_have_count(1)
        expect(page.locator(".tile", has_text="Dead letters").get_by_role("link")).to_have_text("1")
        for path in ("/admin/", "/admin/health/"):
            wrong = visitor.open(path).locator("section.wrong li")
            expect(wrong.filter(has_text="1 message could not be stored")).to_have_count(1)
            expect(wrong.filter(has_text="is refused")).to_have_count(2)
            expect(wrong.filter(has_text="The last verification found 3 differences")).to_have_count(1)
            expect(wrong).to_have_count(4)
        page = visitor.open("/admin/verify/")
        expect(page.get_by_text("refused").first).to_be_visible()
    finally:
        visitor.context.close()
    assert visitor.faults == []
