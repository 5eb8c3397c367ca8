"""The admin pages in a real browser, with the whole program behind them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, Route, expect

from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.events.identity import Identity
from mailcore.events.undelivered import undelivered_headers, undelivered_subject
from mailcore.visible import lines, one_line
from tests.support.browser import PASSWORD, PHONE, Visitor
from tests.support.dovecot import Dovecot
from tests.support.events import expunged, message
from tests.support.mail import make_mail
from tests.support.pretending import PRETENDING, READABLE
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

# Without IDLE in its capabilities a server gives no push: what appears was found by the button.
NO_PUSH = "imap_capability = IMAP4rev1 LITERAL+ UIDPLUS ESEARCH CONDSTORE ENABLE UNSELECT"
PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()
HOSTILE = f"""\
From: "<script>hit('from')</script>" <evil@example.com>
To: you@example.org
Subject: <img src=x onerror=hit('subject')> a hostile greeting
Date: Sun, 22 Nov 2026 20:00:00 +0000
MIME-Version: 1.0
X-Note: <script>hit('header')</script>
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/related; boundary=inner

--inner
Content-Type: text/html; charset=utf-8

<html><head><meta http-equiv="refresh" content="0;url=http://evil.example/refresh">
<base href="http://evil.example/"><link rel="preconnect" href="http://evil.example/"><link rel="stylesheet" href="http://evil.example/style.css">
<style>@import url(http://evil.example/import.css); p {{ background: url(http://evil.example/bg.png) }}</style></head>
<body onload="hit('onload')" background="http://evil.example/body.png">
<script>hit('script')</script><script src="http://evil.example/script.js"></script>
<svg onload="hit('svg')"><script>hit('svg-script')</script><image href="http://evil.example/svg.png"/></svg>
<p onclick="hit('click')" style="background:url(http://evil.example/inline.png)">What a person may read.</p>
<img src="http://evil.example/pixel.png" srcset="http://evil.example/2x.png 2x" onerror="hit('onerror')">
<img src="cid:own@picture" alt="its own picture"><img src="data:image/svg+xml,<svg onload=alert(1)>">
<iframe src="http://evil.example/frame"></iframe><iframe srcdoc="<script>parent.hit('srcdoc')</script>"></iframe>
<object data="http://evil.example/object"></object><video src="http://evil.example/video" autoplay></video>
<form action="http://evil.example/form"><input name=password autofocus onfocus="hit('focus')"></form>
<a href="javascript:hit('link')">a link</a> <math><mtext><style><img src=x onerror="hit('math')"></style></mtext></math>
</body></html>
--inner
Content-Type: image/png
Content-ID: <own@picture>
Content-Transfer-Encoding: base64

{PIXEL}
--inner--
--outer
Content-Type: text/plain
Content-Disposition: attachment; filename="../../<img src=x onerror=hit('file')>.html"

<script>hit('attachment')</script>
--outer--
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    need_program("dovecot", "dovecot-imapd")
    with closing(Dovecot(extra=NO_PUSH)) as server:
        yield server.start()


@pytest.fixture(scope="module")
def mozzart(dovecot: Dovecot) -> Iterator[Mozzart]:
    """Its mailbox is polled so seldom that nothing comes on its own."""
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home,
        ExitStack() as stack,
    ):
        made = Mozzart(Path(home), {"ADMIN_PASSWORD": PASSWORD, "SYNC_INTERVAL": "3600"}).use(dovecot)
        stack.callback(made.stop, within=20)
        yield made.start().wait_ready().wait_live("polling")


@pytest.fixture
def visit(chromium: Browser, mozzart: Mozzart) -> Iterator[Callable[..., Visitor]]:
    """`visit(viewport=…)`: a visitor who is not signed in; no script of any page may have failed."""
    made: list[Visitor] = []

    def make(**options: object) -> Visitor:
        context = chromium.new_context(**options)  # type: ignore[arg-type]  # Playwright's own options
        made.append(Visitor(context, f"http://127.0.0.1:{mozzart.api_port}"))
        return made[-1]

    yield make
    for visitor in made:
        visitor.context.close()
        assert visitor.faults == []
        assert visitor.foreign_requests() == []


def figure(page: Page, name: str) -> int:
    return int(page.locator(f'[data-figure="{name}"]').inner_text().replace(",", ""))


def sync(page: Page) -> None:
    page.get_by_role("button", name="Sync mailbox now").click()
    expect(page.locator('[data-status="ok"]')).to_be_visible()


def test_pages_are_for_those_who_sign_in_and_until_they_sign_out(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.sign_in("/admin/health/", password="wrong")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    visitor.open("/admin/messages/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_button_brings_what_arrived_and_the_page_follows_without_being_loaded_again(
    visit: Callable[..., Visitor], dovecot: Dovecot
) -> None:
    page = visit().sign_in()
    expect(page.get_by_role("cell", name="INBOX default")).to_be_visible()
    before = figure(page, "stored")
    page.evaluate("window.same = true")
    dovecot.append_many([make_mail(number, files=(100,)).raw for number in range(3)])

    page.get_by_role("button", name="Sync mailbox now").click()

    expect(page.locator("#run")).to_contain_text("3 messages found, 3 stored")
    expect(page.locator('[data-figure="stored"]')).to_have_text(str(before + 3))
    dovecot.append(make_mail(9).raw)
    page.get_by_role("button", name="Sync now: INBOX of default").click()
    expect(page.locator("#run")).to_contain_text("1 message found, 1 stored")
    assert page.evaluate("window.same") is True


def test_without_scripts_the_button_works_too(visit: Callable[..., Visitor], dovecot: Dovecot) -> None:
    page = visit(java_script_enabled=False).sign_in()
    dovecot.append(make_mail(21).raw)

    page.get_by_role("button", name="Sync mailbox now").click()

    run = page.url
    assert "run=" in run
    for _ in range(50):
        if page.locator('[data-status="ok"]').count():
            break
        page.goto(run)
    expect(page.locator("#run")).to_contain_text("1 message found, 1 stored")


def test_events_appear_as_they_happen(visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart) -> None:
    page = visit().sign_in("/admin/live/")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.get_by_text("All quiet.")).to_be_visible()
    dovecot.append(make_mail(31).raw)

    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200

    expect(page.locator('#stream li[data-type="new"]')).to_contain_text("found by manual")
    stored = page.locator('#stream li[data-type="stored"]')
    stored.get_by_role("link", name="open").click()
    expect(page.get_by_text("Its way")).to_be_visible()


def test_read_flagged_and_answered_mail_looks_so_and_is_found_so(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    mails = [f"From: Anna <anna@example.org>\r\nSubject: flags of {word}\r\n\r\nText.\r\n" for word in "abc"]
    uids = dovecot.append_many([mail.encode() for mail in mails])
    visitor = visit()
    page = visitor.sign_in()
    sync(page)
    query = "SELECT flags_at FROM mailbox_app_mailmessage WHERE subject LIKE 'flags of %' AND flags_at IS NOT NULL"
    dovecot.set_flags(uids[0], "\\Seen")
    dovecot.set_flags(uids[1], "\\Seen \\Flagged \\Answered")
    sync(page)
    wait_until(lambda: len(mozzart.rows(query)) == 2, "two rows follow", within=20)

    visitor.open("/admin/messages/?q=flags")
    rows = {word: page.get_by_role("row").filter(has_text=f"flags of {word}") for word in "abc"}
    for word, unread in (("a", 0), ("b", 0), ("c", 1)):
        expect(rows[word].get_by_label("unread")).to_have_count(unread)
    for badge in ("flagged", "answered"):
        expect(page.locator(".badge").get_by_text(badge, exact=True)).to_have_count(1)
        expect(rows["b"].get_by_text(badge, exact=True)).to_be_visible()
    visitor.open("/admin/messages/?q=flags&seen=no")
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    visitor.open("/admin/messages/?q=flags&flagged=yes")
    page.get_by_role("link", name="flags of b").click()
    facts = page.locator("main .facts")
    for word in ("read", "flagged", "answered"):
        expect(facts.get_by_text(word, exact=True)).to_be_visible()
    expect(facts.get_by_text("since")).to_be_visible()


def letter(subject: str, *, minutes: int = 0, text: str = "Text.", head: str = "") -> bytes:
    """One that was sent so many minutes before the next hour of a day long ago."""
    date = f"Date: Mon, 06 May 2024 07:{59 - minutes:02}:00 +0000"
    return f"From: Anna <anna@example.org>\r\nSubject: {subject}\r\n{date}\r\n{head}\r\n{text}\r\n".encode()


def subjects(page: Page) -> list[str]:
    return page.locator("a[data-row]").all_inner_texts()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "none"])
def test_the_list_is_walked_both_ways_and_has_a_total_and_a_line_of_each_text(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart, scripts: bool
) -> None:
    word = f"walk{scripts}"
    dovecot.append_many([letter(f"{word} {number}", text=f"> cited\r\nline {number}") for number in range(120)])
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit(java_script_enabled=scripts)
    visitor.sign_in()
    page = visitor.open(f"/admin/messages/?q={word}")
    expect(page.locator("#total")).to_have_text("120 messages")
    expect(page.locator(".snippet").first).to_have_text(re.compile("line [0-9]+"))
    first = subjects(page)
    walked = [first]
    for _ in range(2):
        page.get_by_role("link", name="Older").click()
        walked.append(subjects(page))
    assert [len(part) for part in walked] == [50, 50, 20]
    assert len({subject for part in walked for subject in part}) == 120
    expect(page.get_by_role("link", name="Older")).to_have_count(0)

    page.get_by_role("link", name="Newer").click()
    assert subjects(page) == walked[1]
    page.get_by_role("link", name="Newer").click()
    assert subjects(page) == first
    assert page.url == f"{visitor.base}/admin/messages/?q={word}", "the first page is the one that everybody sees"
    expect(page.get_by_role("link", name="Newer")).to_have_count(0)


def test_attachments_are_counted_by_a_paperclip_and_named(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    dovecot.append_many([make_mail(number, seed=12, files=(100,) * (number - 700)).raw for number in (700, 701, 703)])
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit()
    visitor.sign_in()
    page = visitor.open("/admin/messages/?account=default")
    for number, told in ((700, None), (701, "1 attachment"), (703, "3 attachments")):
        clip = page.get_by_role("row").filter(has_text=f" {number}").locator(".files")
        expect(clip).to_have_count(0 if told is None else 1)
        if told:
            expect(clip.get_by_text(told, exact=True)).to_have_count(1)
            assert "703-0" in str(clip.get_attribute("title")) or number == 701


def test_a_filter_is_seen_also_when_its_form_is_closed_and_goes_with_a_click(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    dovecot.append(letter("closed form"))
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit()
    visitor.sign_in()
    page = visitor.open("/admin/messages/?q=closed&from=nobody&seen=perhaps&colour=red&cursor=")
    expect(page.get_by_text("No message has all of that.")).to_be_visible()
    expect(page.get_by_role("list", name="Filters that are on").get_by_role("link")).to_have_count(1)
    page.get_by_role("link", name="from nobody").click()
    assert page.url == f"{visitor.base}/admin/messages/?q=closed"
    assert subjects(page) == ["closed form"]
    page.get_by_text("More filters").click()
    page.locator("[name=seen]").select_option("no")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="unread")).to_be_visible()


def test_new_mail_is_told_on_the_open_list_and_moves_nothing(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    dovecot.append_many([letter(f"news {number}") for number in range(60)])
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit()
    visitor.sign_in()
    for path in ("/admin/messages/?q=news", "/admin/messages/?q=news&seen=no"):
        page = visitor.open(path)
        title = page.title()
        if "seen" in path:
            page.get_by_role("link", name="Older").click()
        row = page.locator("a[data-row]").last
        row.scroll_into_view_if_needed()
        before = subjects(page), row.bounding_box()
        told = page.get_by_role("status").get_by_role("link")

        dovecot.append_many([letter("other"), letter("news again"), letter("news and again")])
        assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200

        expect(told).to_have_text("2 new messages")
        assert page.title() == f"(2) {title}"
        assert (subjects(page), row.bounding_box()) == before
        told.focus()
        page.keyboard.press("Enter")
        expect(page.locator("a[data-row]").first).to_have_text(re.compile("news (and )?again"))
        expect(told).to_be_hidden()


def test_from_a_message_one_goes_on_in_the_list_from_which_one_came(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    dovecot.append_many([letter(f"beside {number}") for number in range(1, 54)])
    dovecot.append(letter("in between"))
    dovecot.append(letter("beside 54"))
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit()
    visitor.sign_in()
    page = visitor.open("/admin/messages/?q=beside")
    first = subjects(page)
    page.get_by_role("link", name="Older").click()
    second = subjects(page)
    at_the_end = page.url
    page.locator("a[data-row]").last.click()
    for subject, key in zip([*second[::-1], *first[::-1]], ["k"] * 53 + [""], strict=True):
        expect(page.get_by_role("heading", level=1)).to_contain_text(subject)
        if key:
            page.wait_for_load_state()  # with its script
            page.keyboard.press(key)
    expect(page.get_by_role("link", name="Newer")).to_have_count(0)
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(first[1])
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Messages", exact=True)).to_be_visible()
    assert page.url.partition("#")[0] == at_the_end, "the page of the list from which one came"


def test_a_message_has_its_thread_and_the_names_of_those_to_whom_it_went(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    to = 'To: "Schmidt, Anna" <anna@example.org>, =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nCc: bare@example.org\r\n'
    answers = "References: <one@thread.example> <never@here.example>\r\nIn-Reply-To: <never@here.example>\r\n"
    dovecot.append_many(
        [
            letter("a question", head=f"Message-ID: <one@thread.example>\r\n{to}"),
            letter("another matter", head="Message-ID: <two@thread.example>\r\n"),
            letter("an answer to the answer", head=f"Message-ID: <three@thread.example>\r\n{answers}"),
        ]
    )
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    visitor = visit()
    visitor.sign_in()
    page = visitor.open('/admin/messages/?q="a+question"')
    page.locator("a[data-row]").click()
    written = '"Schmidt, Anna" <anna@example.org>, Jürgen <j@example.org>'
    expect(page.locator("main .facts")).to_contain_text(written)
    expect(page.locator("main .facts")).to_contain_text("bare@example.org")
    (row,) = mozzart.rows("SELECT id FROM mailbox_app_mailmessage WHERE message_id = '<one@thread.example>'")
    assert written in mozzart.run("messages", "show", str(row["id"])).stdout

    thread = page.locator(".thread a")
    expect(thread).to_have_count(2)
    expect(page.locator(".thread [aria-current]")).to_contain_text("a question")
    thread.last.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("an answer to the answer")
    expect(page.locator(".thread [aria-current]")).to_contain_text("an answer")
    visitor.open("/admin/messages/?q=another+matter")
    page.locator("a[data-row]").first.click()
    expect(page.get_by_text("Its way")).to_be_visible()
    expect(page.locator(".thread")).to_have_count(0)


def test_a_hostile_message_is_read_and_nothing_of_it_runs_or_is_fetched(
    visit: Callable[..., Visitor], dovecot: Dovecot, tmp_path: Path
) -> None:
    visitor = visit()
    dovecot.append(HOSTILE.replace("\n", "\r\n").encode())
    page = visitor.sign_in()
    visitor.context.add_init_script("window.hits = []; window.hit = (what) => window.hits.push(what)")
    sync(page)

    visitor.open("/admin/messages/")
    page.keyboard.press("/")
    page.keyboard.type("hostile greeting")
    page.keyboard.press("Enter")
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    page.locator("a[data-row]").click()

    frame = page.frame_locator("iframe.mail-frame")
    expect(frame.get_by_text("What a person may read.")).to_be_visible()
    expect(frame.get_by_text("from elsewhere were not loaded")).to_be_visible()
    assert frame.get_by_alt_text("its own picture").evaluate("one => one.complete && one.naturalWidth") == 1
    page.get_by_role("tab", name="Headers").click()
    expect(page.get_by_text("<script>hit('header')</script>")).to_be_visible()
    with page.expect_download() as download:
        page.locator(".attachments a.save").last.click()
    saved = tmp_path / "saved"
    download.value.save_as(saved)
    assert saved.read_bytes().strip() == b"<script>hit('attachment')</script>"
    assert "/" not in download.value.suggested_filename
    page.wait_for_timeout(500)
    for every in page.frames:
        assert "evil.example" not in every.url
    assert page.evaluate("window.hits") == []
    assert visitor.foreign_requests() == []


def test_the_pictures_of_a_message_are_fetched_once_without_a_cookie_and_are_inert(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    """The frame is of no origin: a browser sends no cookie with its requests, so that the address must be enough."""
    head = (
        "From: e@example.org\r\nSubject: pictures\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b"
    )
    html = "<img src=cid:png alt=real>" * 50 + "<img src=cid:html alt=false><img src=cid:png@other alt=missing>"
    part = "\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <{}>\r\nContent-Transfer-Encoding: base64\r\n\r\n{}"
    page_of = base64.b64encode(b"<html><script>hit('picture')</script></html>").decode()
    parts = part.format("png", PIXEL) + part.format("html", page_of)
    dovecot.append(f"{head}\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n{html}{parts}\r\n--b--\r\n".encode())
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    query = "SELECT id FROM mailbox_app_mailmessage WHERE subject = 'pictures'"
    (row,) = wait_until(lambda: mozzart.rows(query), "it is stored")
    visitor = visit()
    answers: list[Response] = []
    visitor.context.on("response", lambda answer: answers.append(answer) if "/pictures/" in answer.url else None)
    visitor.sign_in()
    page = visitor.open(f"/admin/messages/{row['id']}/")
    frame = page.frame_locator("iframe.mail-frame")
    expect(frame.get_by_alt_text("missing")).to_have_count(1)
    page.wait_for_load_state("networkidle")

    widths = frame.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert widths == [1] * 50 + [0, 0]
    assert sum("/pictures/" in url for url in visitor.requests) == 2, "each is asked for once"
    (good,) = (answer for answer in answers if answer.status == 200)
    assert "cookie" not in good.request.all_headers()
    headers = good.all_headers()
    assert headers["content-type"] == "image/png"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    address = good.url.removeprefix(visitor.base)
    unsigned, _, signature = address.partition("?")
    for path in (unsigned, address[:-1], f"{unsigned.replace('/pictures/', '/pictures/9')}?{signature}"):
        visitor.context.clear_cookies()
        assert visitor.open(path).url.startswith(f"{visitor.base}/admin/login/"), path


def test_pictures_from_elsewhere_are_shown_once_for_those_who_press_the_button(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    head = "From: e@example.org\r\nSubject: far pictures\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
    near = f"http://127.0.0.1:{mozzart.api_port}/admin/"
    html = f"<p>Words<img alt=far src={BEACON}far.png><img alt=near src={near}><script src={BEACON}script></script>"
    style = f"<style>p {{ background: url({BEACON}style) }}</style><img src='{BEACON}2.png' onerror='parent.hit()'>"
    dovecot.append(f"{head}{html}{style}\r\n".encode())
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    query = "SELECT id FROM mailbox_app_mailmessage WHERE subject = 'far pictures'"
    (row,) = wait_until(lambda: mozzart.rows(query), "it is stored")
    visitor = visit()
    page = visitor.sign_in()
    expect(page.get_by_role("heading", name="Mailbox states")).to_be_visible()
    left: list[str] = []

    def leaves(route: Route) -> None:
        left.append(route.request.url.removeprefix(BEACON))
        assert not {"cookie", "referer"} & route.request.headers.keys()
        route.fulfill(body=base64.b64decode(PIXEL), content_type="image/png")

    visitor.context.route(BEACON + "**", leaves)
    visitor.open(f"/admin/messages/{row['id']}/")
    frame = page.frame_locator("iframe.mail-frame")
    expect(frame.get_by_text("from elsewhere were not loaded")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert left == []

    page.get_by_role("button", name="Show pictures once").focus()
    page.keyboard.press("Enter")

    expect(frame.get_by_text("not loaded all the same")).to_be_visible()
    wait_until(lambda: page.wait_for_timeout(10) or len(left) == 2, "both are fetched")
    assert sorted(left) == ["2.png", "far.png"]
    wide = frame.get_by_alt_text("far")
    expect(wide).to_have_js_property("naturalWidth", 1)
    expect(frame.get_by_alt_text("near")).to_have_js_property("naturalWidth", 0)
    visitor.open(f"/admin/messages/{row['id']}/")
    expect(frame.get_by_text("that would tell the sender")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert len(left) == 2, "for once"
    # Without the token of our own form nobody gets them.
    assert page.request.post(f"{visitor.base}/admin/messages/{row['id']}/html/").status == 403
    visitor.requests = [url for url in visitor.requests if not url.startswith(BEACON)]


def test_pictures_pdfs_and_texts_are_looked_at_and_what_pretends_to_be_one_is_not(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    coded = "Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64"
    part = f"--b\r\nContent-Type: {{}}; name={{}}\r\n{coded}\r\n\r\n{{}}\r\n"
    hostile = b"<html><script>parent.hit('preview')</script><img src=x onerror=hit(1)></html>"
    files = {
        "real.png": ("image/png", base64.b64decode(PIXEL)),
        "real.pdf": ("application/octet-stream", b"%PDF-1.4\n%%EOF\n"),
        "false.png": ("image/png", hostile),
        "false.pdf": ("application/pdf", hostile),
        "picture.svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='parent.hit(2)'></svg>"),
        "table.csv": ("text/csv", "Größe;東京\nlong\n".encode() + b"line\n" * 100_000),
        "program.txt": ("text/plain", b"MZ\x90\x00\x03"),
    }
    parts = "".join(
        part.format(kind, name, base64.encodebytes(content).decode().replace("\n", "\r\n"))
        for name, (kind, content) in files.items()
    )
    head = "From: e@example.org\r\nSubject: to be looked at\r\nMIME-Version: 1.0\r\n"
    head += "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    dovecot.append(f"{head}{parts}--b--\r\n".encode())
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    query = "SELECT id FROM mailbox_app_mailmessage WHERE subject = 'to be looked at'"
    (row,) = wait_until(lambda: mozzart.rows(query), "it is stored")
    visitor = visit()
    visitor.context.add_init_script("window.hits = []; window.hit = (what) => window.hits.push(what)")
    page = visitor.sign_in("/admin/messages/?q=looked")
    page.get_by_role("link", name="to be looked at").click()
    at = f"{visitor.base}/admin/messages/{row['id']}/?q=looked"

    def look(name: str) -> Page:
        page.goto(at)
        page.get_by_role("link", name=f"Preview of {name}").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        page.wait_for_load_state("networkidle")
        return page

    expect(look("real.png").get_by_role("img", name="real.png")).to_have_js_property("naturalWidth", 1)
    frame = look("real.pdf").locator("iframe.preview-frame")
    answer = page.request.get(visitor.base + str(frame.get_attribute("src")))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].endswith("; sandbox")
    for name in ("false.png", "false.pdf"):
        expect(look(name).locator(".mail-text")).to_contain_text("<script>parent.hit('preview')</script>")
        assert page.request.get(f"{page.url.partition('?')[0]}file").status == 404
        assert page.evaluate("window.hits") == []
    text = look("table.csv").locator(".mail-text")
    expect(text).to_contain_text("Größe;東京")
    expect(page.get_by_role("link", name="Save all of it")).to_be_visible()
    assert len(page.content()) < 1_000_000
    expect(look("program.txt").get_by_text("This is no picture, PDF or text.")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("Its way")).to_be_visible()
    assert page.url == at, "with the list from which one came"
    expect(page.get_by_role("link", name="Preview of picture.svg")).to_have_count(0)
    visitor.open(f"/admin/messages/{row['id'] + 1}/attachments/1/")
    expect(page.get_by_text("There is no such attachment.")).to_be_visible()
    # Chromium's own reader of PDFs is made of these.
    visitor.requests = [url for url in visitor.requests if not url.startswith("chrome")]


def test_what_a_sender_wrote_cannot_pretend_on_any_page(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart
) -> None:
    trick, mailbox = "invoice\u202efdp.exe", "Rechnungen\u202efdp"
    words = f"=?utf-8?B?{base64.b64encode(trick.encode()).decode()}?="
    head = f"From: {words} <e@example.org>\r\nTo: {words} <a@example.org>\r\nSubject: {words}\r\nX-Trick: {trick}\r\n"
    kind = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    text = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{trick} {READABLE['Persian']}\r\n--b\r\n"
    file = "Content-Disposition: attachment; filename*=UTF-8''invoice%E2%80%AEfdp.exe\r\n\r\nMZ\r\n--b--\r\n"
    dovecot.append((head + kind + text + file).encode())
    mozzart.execute(f"UPDATE mailbox_app_mailboxstate SET last_error = '{trick}', last_sync_status = 'failed'")
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    query = "SELECT id FROM mailbox_app_mailmessage WHERE subject LIKE 'invoice%'"
    (row,) = wait_until(lambda: mozzart.rows(query), "it is stored")
    visitor = visit()
    page = visitor.sign_in()
    expect(page.get_by_role("heading", name="Mailbox states")).to_be_visible()
    for path in (
        "",
        "messages/",
        f"messages/?q={trick}&mailbox={mailbox}",
        f"messages/{row['id']}/",
        "live/",
        "health/",
    ):
        source = page.request.get(f"{visitor.base}/admin/{path}").text()
        assert "\u202e" not in source, path

    visitor.open(f"/admin/messages/{row['id']}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("invoice\\u202efdp.exe")
    expect(page.locator(".attachments")).to_contain_text("invoice\\u202efdp.exe")
    expect(page.locator("#panel-text")).to_contain_text(READABLE["Persian"])
    page.get_by_role("tab", name="Headers").click()
    expect(page.locator(".headers-table")).to_contain_text("invoice\\u202efdp.exe")
    assert mozzart.http("GET", f"/api/messages/{row['id']}/").json["subject"] == trick, "the api tells what it is"
    for command in (["messages", "show", str(row["id"])], ["messages", "search", "invoice"]):
        assert "invoice\\u202efdp.exe" in (said := mozzart.run(*command).stdout), said
        assert trick not in said
    assert "\u202e" not in mozzart.log_text()

    visitor.open("/admin/live/")
    for text in (*READABLE.values(), *PRETENDING):
        if not re.search("[\ud800-\udfff]", text):  # Playwright carries none of these
            assert page.evaluate("text => [oneLine(text), lines(text)]", text) == [one_line(text), lines(text)]


BEACON = "http://evil.example/"
UNCLEAN = f"""<!doctype html><body onload="new Image().src='{BEACON}onload'">
<script>new Image().src = '{BEACON}script'</script><svg onload="new Image().src='{BEACON}svg'"></svg>
<img src="{BEACON}pixel" onerror="new Image().src='{BEACON}onerror'"><iframe src="{BEACON}frame"></iframe>
<p style="background: url({BEACON}style)">What a person may read.</p></body>"""


@pytest.mark.parametrize(
    ("policy", "framed", "expected"),
    [
        (True, False, set()),  # the policy alone: as if the sanitizer let all pass, and the frame were none
        (False, True, {"pixel", "style", "frame"}),  # the frame's sandbox alone: no script
        (False, False, {"pixel", "style", "frame", "onload", "script", "svg", "onerror"}),  # so the test can see it
    ],
    ids=["policy", "sandbox", "neither"],
)
def test_each_fence_around_a_message_holds_without_the_others(
    chromium: Browser, mozzart: Mozzart, dovecot: Dovecot, policy: bool, framed: bool, expected: set[str]
) -> None:
    dovecot.append(HOSTILE.replace("\n", "\r\n").encode())
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    query = "SELECT id FROM mailbox_app_mailmessage WHERE body_html LIKE '%onload%' LIMIT 1"
    (row,) = wait_until(lambda: mozzart.rows(query), "the hostile message is stored")
    context = chromium.new_context()
    visitor = Visitor(context, f"http://127.0.0.1:{mozzart.api_port}")

    def unclean(route: Route) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if policy or "security-policy" not in name}
        route.fulfill(response=answer, headers=headers, body=UNCLEAN)

    context.route("**/html/", unclean)
    # What a policy forbids is told as a request too, and comes no further; what comes here would have left.
    left = set()

    def leaves(route: Route) -> None:
        left.add(route.request.url.removeprefix(BEACON))
        route.abort()

    context.route(BEACON + "**", leaves)
    visitor.sign_in()
    expect(visitor.page.get_by_role("heading", name="Mailbox states")).to_be_visible()
    page = visitor.open(f"/admin/messages/{row['id']}/{'' if framed else 'html/'}")
    shown = page.frame_locator("iframe.mail-frame") if framed else page
    expect(shown.get_by_text("What a person may read.")).to_be_visible()
    page.wait_for_load_state("networkidle")

    assert left == expected
    context.close()


def test_a_dead_letter_is_read_downloaded_and_redriven(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart, tmp_path: Path
) -> None:
    page = visit().sign_in()
    dovecot.append(make_mail(41).raw)
    sync(page)
    (row,) = mozzart.rows("SELECT uidvalidity FROM mailbox_app_mailmessage LIMIT 1")
    event = message(1, b"Subject: back from the dead\r\n\r\nhello\r\n")
    event = replace(event, identity=Identity("default", "INBOX", row["uidvalidity"], 77_777))

    async def die() -> None:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        await bus.publish_dead(event.headers(), event.body, "the <b>disk</b> was full", 7)
        await bus.close()

    with ThreadPoolExecutor(1) as threads:  # Playwright's own loop runs in this thread
        threads.submit(asyncio.run, die()).result(30)

    page.get_by_role("link", name="Dead letters").click()
    expect(page.get_by_text("the <b>disk</b> was full")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Raw bytes of UID 77777").click()
    download.value.save_as(tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == event.body
    page.get_by_role("button", name="Redrive UID 77777").click()
    expect(page.get_by_role("status")).to_contain_text("Published once more")
    expect(page.get_by_text("No dead letters.")).to_be_visible()
    page.goto(page.url.partition("/admin/")[0] + "/admin/messages/?q=back+from+the+dead")
    for _ in range(50):
        if page.locator("a[data-row]").count():
            break
        page.reload()
    expect(page.locator("a[data-row]")).to_have_text("back from the dead")


def test_an_event_that_the_webhook_did_not_take_is_listed_and_what_stands_in_its_way_is_said(
    visit: Callable[..., Visitor], mozzart: Mozzart
) -> None:
    bury(mozzart)
    page = visit().sign_in("/admin/dead-letters/")
    row = page.get_by_role("row").filter(has_text="default/INBOX/7/9/expunged")
    expect(row).to_contain_text("HTTP <b>500</b>")
    with page.expect_download() as download:
        row.get_by_role("link", name="to download").click()
    assert json.loads(Path(download.value.path()).read_text())["event"]["uid"] == 9

    row.get_by_role("button", name="again").click()

    expect(page.get_by_role("alert")).to_contain_text("WEBHOOK_URL")
    expect(row).to_be_visible()


def bury(mozzart: Mozzart) -> None:
    """One event that was given up; no webhook process runs here."""

    async def give_up() -> None:
        bus = await Bus.connect((mozzart.home / "data" / "nats.url").read_text().strip(), name="test")
        await bus.dedicated.stream(undelivered.CONFIG)
        event = expunged(9)
        headers = undelivered_headers(event.headers(), "HTTP <b>500</b>", 104)
        await bus.dedicated.publish(undelivered_subject(event.nats_subject), headers, event.payload())
        await bus.close()

    with ThreadPoolExecutor(1) as threads:  # Playwright's own loop runs in this thread
        threads.submit(asyncio.run, give_up()).result(30)


def test_the_keyboard_reaches_everything_and_its_place_is_seen(visit: Callable[..., Visitor], dovecot: Dovecot) -> None:
    visitor = visit()
    page = visitor.sign_in()
    dovecot.append(make_mail(61, files=(100,)).raw)
    sync(page)
    for path, last in (("", "Sync now: INBOX of default"), ("messages/", None), ("live/", None)):
        visitor.open(f"/admin/{path}")
        seen = []
        for _ in range(30):
            page.keyboard.press("Tab")
            label, outline = page.evaluate(
                """() => { const one = document.activeElement, style = getComputedStyle(one);
                return [one.ariaLabel || one.textContent || one.name || one.type,
                        one === document.body || (style.outlineStyle !== "none" && style.outlineWidth !== "0px")]; }"""
            )
            assert outline, f"{path}: {label} has the focus and does not show it"
            seen.append(label.strip())
        assert seen[0] == "Skip to the content"
        assert last is None or last in seen
    visitor.open("/admin/messages/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Its way")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Messages", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_has_a_title_and_one_heading(
    visit: Callable[..., Visitor], dovecot: Dovecot, mozzart: Mozzart, scheme: str
) -> None:
    dovecot.append(make_mail(71, files=(100,)).raw)
    dovecot.append(HOSTILE.replace("\n", "\r\n").encode())
    assert mozzart.http("POST", "/api/mailbox/sync/?wait=30").status == 200
    bury(mozzart)
    rows = mozzart.rows("SELECT max(id) AS id FROM mailbox_app_mailmessage GROUP BY body_html LIKE '%onload%'")
    details = [f"messages/{row['id']}/" for row in rows]
    visitor = visit(viewport=PHONE, color_scheme=scheme)
    page = visitor.sign_in()
    paths = ["", "messages/", "messages/?q=nothing", "live/", "dead-letters/", "health/", "messages/999999/", *details]
    for path in [*(f"/admin/{path}" for path in paths), "/api/docs/"]:
        visitor.open(path)
        for button in page.get_by_role("tab").all():
            button.click()
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert re.fullmatch(r".+ · Mozzart", page.title()), path
        assert page.locator("h1").count() == 1, path
        for link in page.locator(".nav a").all():
            box = link.bounding_box()
            assert box, path
            assert box["x"] + box["width"] <= PHONE["width"], f"{path}: all pages can be chosen without scrolling"
