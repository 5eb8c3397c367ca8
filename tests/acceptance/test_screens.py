"""Every page in Chromium with names as long as they can be: its width, its time zone, its keys, its accessibility, and
what can be done about many dead letters."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.events.identity import Identity
from mailcore.events.undelivered import undelivered_headers, undelivered_subject
from tests.support.axe import grave_faults, need_axe
from tests.support.browser import PASSWORD, PHONE, Visitor
from tests.support.dovecot import Dovecot
from tests.support.events import expunged, message
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

DESK: Final = {"width": 1280, "height": 900}
MAILBOX: Final = "Projekt" + "x" * 193
ACCOUNT: Final = "konto" + "x" * 95
LONG: Final = (
    f"Subject: {'W' * 200}\r\nFrom: {'N' * 200} <{'a' * 60}@{'d' * 60}.example>\r\nTo: {'t' * 200}@example.org\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
    f"{'u' * 300}\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>{'v' * 300}</p>\r\n--b\r\n"
    f"Content-Disposition: attachment; filename={'f' * 200}.pdf\r\n\r\nMZ\r\n--b--\r\n"
).encode()
FULL: Final = "the disk was full, {} bytes"
UIDS: Final = count(70_000)  # the same letter again within two minutes is none
ROW: Final = "the database refused a row: " + "r" * 300


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    need_program("dovecot", "dovecot-imapd")
    with closing(Dovecot()) as server:
        yield server.start()


@pytest.fixture(scope="module")
def mozzart(dovecot: Dovecot) -> Iterator[Mozzart]:
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home,
        ExitStack() as stack,
    ):
        accounts = Path(home, "accounts.toml")
        accounts.write_text(
            f'[[account]]\nname = "{ACCOUNT}"\nhost = "{dovecot.host}"\nport = {dovecot.port}\nuser = "berta"\n'
            f'password = "{dovecot.password}"\nuse_ssl = false\nmailboxes = ["INBOX", "Nowhere"]\n'
        )
        settings = {"ADMIN_PASSWORD": PASSWORD, "IMAP_MAILBOX": "*", "ACCOUNTS_FILE": str(accounts)}
        made = Mozzart(Path(home), settings).use(dovecot)
        dovecot.create(MAILBOX)
        dovecot.append(make_mail(1, files=(100,)).raw)
        dovecot.append(LONG, MAILBOX)
        stack.callback(made.stop, within=20)
        made.start().wait_ready().wait_stored(2)
        yield made


@pytest.fixture
def visit(chromium: Browser, mozzart: Mozzart) -> Iterator[Callable[..., Visitor]]:
    """`visit(viewport=…)`: a visitor who is signed in; no script of any page may have failed."""
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        made.append(Visitor(chromium.new_context(**options), f"http://127.0.0.1:{mozzart.api_port}"))
        made[-1].sign_in()
        made[-1].page.wait_for_url("**/admin/")
        return made[-1]

    yield make
    for visitor in made:
        visitor.context.close()
        assert not visitor.faults


def bury(mozzart: Mozzart, subjects: dict[str, str]) -> None:
    """Dead letters: their subjects, and why each could not be stored. The stream has no others afterwards."""
    (row,) = mozzart.rows("SELECT uidvalidity FROM mailbox_app_mailmessage ORDER BY id LIMIT 1")

    async def die() -> None:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        async for letter in bus.dead_letters():
            await bus.discard(letter.seq)
        for number, (subject, error) in enumerate(subjects.items(), start=1):
            event = message(1, f"Subject: {subject}\r\nFrom: Anna {number} <a@example.org>\r\n\r\nhello\r\n".encode())
            event = replace(event, identity=Identity("default", "INBOX", row["uidvalidity"], next(UIDS)))
            await bus.publish_dead(event.headers(), event.body, error, 7)
        await bus.close()

    run(die)


def give_up(mozzart: Mozzart) -> None:
    """One event that the webhook's receiver did not take."""

    async def tell() -> None:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        await bus.dedicated.stream(undelivered.CONFIG)
        event = replace_mailbox(expunged(9))
        headers = undelivered_headers(event.headers(), "HTTP 500 " + "e" * 300, 104)
        await bus.dedicated.publish(undelivered_subject(event.nats_subject), headers, event.payload())
        await bus.close()

    run(tell)


def replace_mailbox(event: Any) -> Any:
    return event.model_copy(update={"mailbox": MAILBOX})


def run(task: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as threads:  # Playwright's own loop runs in this thread
        threads.submit(asyncio.run, task()).result(30)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_no_page_has_a_grave_fault_or_is_too_wide_light_or_dark_on_a_desk_or_a_phone(
    visit: Callable[..., Visitor], mozzart: Mozzart
) -> None:
    need_axe()
    bury(mozzart, {"one": FULL.format(1), "S" * 200: ROW})
    give_up(mozzart)
    mozzart.run("verify")
    ids = [row["id"] for row in mozzart.rows("SELECT id FROM mailbox_app_mailmessage ORDER BY id")]
    visitor = visit(viewport=DESK)
    page = visitor.page
    links = page.get_by_role("navigation", name="Pages").get_by_role("link").all()
    paths = [str(link.get_attribute("href")) for link in links]
    assert "/admin/dead-letters/" in paths
    paths += ["/admin/messages/?q=WWWW*", "/admin/messages/?q=nothing&seen=no", "/admin/nowhere/", "/admin/login/"]
    paths += [f"/admin/messages/{one}/" for one in ids]
    parts = mozzart.rows("SELECT id, message_id FROM mailbox_app_mailattachment")
    paths += [f"/admin/messages/{part['message_id']}/attachments/{part['id']}/" for part in parts]
    paths += ["/admin/accounts/default/"]
    found: list[str] = []
    for path in sorted(paths, key="/admin/login/".__eq__):  # that one last: nobody is signed in there
        if path == "/admin/login/":
            visitor.context.clear_cookies()
        visitor.open(path)
        page.evaluate("document.querySelectorAll('main details').forEach((one, at) => { one.open = at < 12; })")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            for size in (DESK, PHONE):
                page.set_viewport_size(size)  # type: ignore[arg-type]
                faults = grave_faults(page, colours_alone=scheme == "dark")
                faults += [] if fits(page) else ["it is wider than the screen"]
                found += [f"{path}, {scheme}, {size['width']} px: {fault}" for fault in faults]
        page.set_viewport_size(DESK)  # type: ignore[arg-type]
    assert not found, "\n".join(found)


def test_all_times_are_in_the_zone_of_the_browser_which_is_told(
    visit: Callable[..., Visitor], mozzart: Mozzart
) -> None:
    (row,) = mozzart.rows("SELECT min(id) AS id FROM mailbox_app_mailmessage")
    paths = ("", "health/", "messages/", f"messages/{row['id']}/")
    far = visit(timezone_id="Asia/Kathmandu")
    near = visit(java_script_enabled=False, timezone_id="Asia/Kathmandu")
    for path in paths:
        for visitor, words, offset in ((far, "Asia/Kat", "+0545"), (near, "UTC", "UTC")):
            page = visitor.open(f"/admin/{path}")
            expect(page.get_by_role("contentinfo")).to_contain_text(f"Times are in {words}")
            titles = page.locator("time[title]").evaluate_all("all => all.map((one) => one.title)")
            assert all(title.endswith(offset) for title in titles), titles
    axes = [visitor.open("/admin/health/").locator("svg text[text-anchor=middle]").first for visitor in (far, near)]
    minutes = [int(hour) * 60 + int(minute) for hour, minute in (str(axis.text_content()).split(":") for axis in axes)]
    assert (minutes[0] - minutes[1]) % 1440 in range(345, 348), "a minute may pass between the two"
    # 23:00 UTC is the next day there: the filter means the reader's days.
    late = "'2026-11-20 23:00:00.000000'"
    mozzart.execute(f"UPDATE mailbox_app_mailmessage SET received_at = {late} WHERE id = {row['id']}")
    for day, following, there in (("2026-11-20", "2026-11-21", 0), ("2026-11-21", "2026-11-22", 1)):
        for query in (f"since={day}&until={day}", f"q=after:{day}+before:{following}"):
            far.open(f"/admin/messages/?{query}")
            expect(far.page.locator("[data-rows] tbody tr")).to_have_count(there)
    expect(far.page.locator("[data-rows] time")).to_have_text("Nov 21, 2026")


def test_the_question_mark_shows_the_keys_and_so_does_a_link(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_be_hidden()
    page.keyboard.press("?")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.get_by_role("link", name="Keys").click()
    expect(keys).to_contain_text("next and previous row")
    page.keyboard.press("Enter")
    expect(keys).to_be_hidden()
    page.keyboard.type("g3")
    page.wait_for_url("**/admin/messages/")
    page.keyboard.press("/")
    page.keyboard.type("g1?")
    expect(page.get_by_role("searchbox")).to_have_value("g1?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_rows_are_walked_by_keys_and_keep_the_focus_when_the_page_is_fresh(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused in (MAILBOX, "INBOX", "Nowhere")
    with page.expect_response(lambda answer: answer.url.endswith("/admin/")):
        pass
    page.wait_for_function("document.querySelector('#states time')")
    assert page.evaluate("document.activeElement.textContent") == focused
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/messages/?**")


def test_dead_letters_are_told_by_subject_and_sender_and_redriven_together(
    visit: Callable[..., Visitor], mozzart: Mozzart
) -> None:
    bury(mozzart, {f"full {one}": FULL.format(one) for one in range(4)} | {f"row {one}": ROW for one in range(3)})
    page = visit().open("/admin/dead-letters/")
    rows = page.locator(".letters").first.locator("tbody tr")
    expect(rows).to_have_count(7)
    expect(rows.first).to_contain_text("full 0")
    expect(rows.first).to_contain_text("Anna 1")

    page.get_by_role("link", name=re.compile("the disk was full.* 4")).click()
    expect(rows).to_have_count(4)
    rows.nth(1).get_by_role("checkbox").check()
    page.keyboard.press("j")  # the next row
    page.keyboard.press("x")
    page.get_by_role("button", name="Redrive selected").click()
    expect(page.get_by_role("status")).to_contain_text("2 messages")
    stored = "SELECT subject FROM mailbox_app_mailmessage WHERE subject LIKE 'full %' ORDER BY subject"
    wait_until(lambda: [row["subject"] for row in mozzart.rows(stored)] == ["full 1", "full 2"], "two are stored")

    expect(rows).to_have_count(5)
    page.get_by_role("link", name=re.compile("the database refused")).click()
    page.get_by_role("button", name="Redrive all of this reason (3)").click()
    expect(page.get_by_role("status")).to_contain_text("3 messages")
    expect(rows).to_have_count(2)
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_text("Discard …").click()
    expect(page.get_by_text("for good")).to_be_visible()
    page.get_by_role("button", name="Discard selected").click()
    expect(page.get_by_role("status")).to_contain_text("2 messages")
    expect(page.locator(".letters [name=seq]")).to_have_count(0)
    assert mozzart.http("GET", "/api/dead-letters/").json["total"] == 0


def test_dead_letters_are_discarded_without_scripts_and_nothing_is_done_without_a_choice(
    visit: Callable[..., Visitor], mozzart: Mozzart
) -> None:
    bury(mozzart, {"one": ROW, "two": ROW})
    page = visit(java_script_enabled=False).open("/admin/dead-letters/")
    page.get_by_role("button", name="Redrive selected").click()
    expect(page.get_by_role("alert")).to_contain_text("No letter was selected")
    page.get_by_text("Discard …").click()
    page.get_by_role("button", name="Discard all (2)").click()
    expect(page.get_by_role("status")).to_contain_text("2 messages")
    assert mozzart.http("GET", "/api/dead-letters/").json["total"] == 0
