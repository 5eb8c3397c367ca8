"""A mail costs no more to look at than its size, whatever is in it: measured at the processes of the api."""

from __future__ import annotations

import http.cookiejar
import os
import tempfile
import time
import urllib.parse
import urllib.request
from base64 import encodebytes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.browser import PASSWORD
from tests.support.dovecot import Dovecot
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

MEGABYTE = 1_000_000
ATTACHED = b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=%06d.pdf\r\n\r\nx\r\n"


def letter(html: bytes, *head: bytes) -> bytes:
    lines = [b"From: e@example.org", *head, b"MIME-Version: 1.0", b"Content-Type: text/html", b"", html, b""]
    return b"\r\n".join(lines)


def repeated(piece: bytes, size: int = MEGABYTE) -> bytes:
    """In lines that no server breaks."""
    line = piece * max(1, 500 // len(piece)) + b"\r\n"
    return line * (size // len(line))


def numbered(form: bytes, count: int) -> bytes:
    return b"\r\n".join(form % number for number in range(count))


def one_picture_many_times() -> bytes:
    picture = encodebytes(os.urandom(900_000)).replace(b"\n", b"\r\n")
    return (
        b"From: e@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n" + b"<img src=cid:a>\r\n" * 400 + b"--b\r\nContent-Type: image/png\r\n"
        b"Content-ID: <a>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + picture + b"--b--\r\n"
    )


def many_attachments() -> bytes:
    head = b"From: e@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return head + b"".join(ATTACHED % number for number in range(2_000)) + b"--b--\r\n"


CRAFTED: dict[str, Callable[[], bytes]] = {
    "one picture many times": one_picture_many_times,
    "a tag of many attributes": lambda: letter(b"<p " + numbered(b"a%d=1", 180_000) + b">x"),
    "much HTML": lambda: letter(repeated(b"<p>What a person may read.</p>", 12 * MEGABYTE)),
    "deep": lambda: letter(repeated(b"<div>")),
    "formatting that is opened again": lambda: letter(
        b"<p>" + numbered(b"<font color=%d>", 300) + b"</p>" + repeated(b"<p>x", 100_000)
    ),
    "a table with nothing in cells": lambda: letter(b"<table>" + repeated(b"<br>", 100_000)),
    "misnested": lambda: letter(repeated(b"<a href=x><b><div></a>", 400_000)),
    "characters that must be escaped": lambda: letter(repeated(b"<")),
    "a header of 8 MB": lambda: letter(b"<p>x", b"X-Long: " + b"\r\n ".join([b'"' * 900] * 9_000)),
    "many header fields": lambda: letter(b"<p>x", *(b"X-%d: y" % number for number in range(50_000))),
    "a subject of 2 MB": lambda: letter(b"<p>x", b"Subject: " + b"\r\n ".join([b"&" * 900] * 2_000)),
    "many recipients": lambda: letter(b"<p>x", b"To: " + b",\r\n ".join(b"a%d@example.org" % n for n in range(40_000))),
    "many attachments": many_attachments,
    "much text": lambda: (
        b"From: e@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        + ("\u202e" * 200 + "\r\n").encode() * 5_000
    ),
}


@dataclass
class Reader:
    """Somebody who is signed in, without a browser: what is measured is ours."""

    mozzart: Mozzart
    cookies: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def sign_in(self) -> float:
        """Seconds that it took."""
        self.get("/admin/login/")
        token = next(one.value for one in self.cookies if one.name == "csrftoken")
        form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
        began = time.monotonic()
        page = self.get("/admin/login/", urllib.parse.urlencode(form).encode())
        assert b"Sign out" in page
        return time.monotonic() - began

    def get(self, path: str, form: bytes | None = None) -> bytes:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        page: bytes = opener.open(f"http://127.0.0.1:{self.mozzart.api_port}{path}", form, timeout=60).read()
        return page

    def view(self, row: int) -> list[bytes]:
        """What a browser fetches by itself but for pictures."""
        page = self.get(f"/admin/messages/{row}/")
        return [page, self.get(f"/admin/messages/{row}/html/")] if b"<iframe" in page else [page]

    def cost(self, row: int) -> float:
        """Seconds of a core that a view takes, the least of three: others work on this machine, too."""
        found = []
        for _ in range(3):
            before = _used(self.mozzart)
            self.view(row)
            found.append(_used(self.mozzart) - before)
        return min(found)


def _family(mozzart: Mozzart) -> list[psutil.Process]:
    api = mozzart.processes()["api"]
    return [api, *api.children(recursive=True)]


def _used(mozzart: Mozzart) -> float:
    return sum(sum(one.cpu_times()[:4]) for one in _family(mozzart))  # with those of children that have ended


def _memory(mozzart: Mozzart) -> int:
    return sum(one.memory_info().rss for one in _family(mozzart))


@pytest.fixture(scope="module")
def mozzart() -> Iterator[Mozzart]:
    need_program("dovecot", "dovecot-imapd")
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home,
        closing(Dovecot()) as dovecot,
        ExitStack() as stack,
    ):
        dovecot.start()
        made = Mozzart(Path(home), {"ADMIN_PASSWORD": PASSWORD}).use(dovecot)
        stack.callback(made.stop, within=20)
        for name, craft in CRAFTED.items():
            raw = craft()
            dovecot.append(b"X-Case: " + name.encode() + b"\r\n" + raw)
            plain = b"X-Case: plain " + name.encode() + b"\r\nFrom: e@example.org\r\n\r\n"
            dovecot.append(plain + b"This is a line of text that says little.\r\n" * (len(raw) // 42))
        yield made.start().wait_ready()


@pytest.fixture(scope="module")
def reader(mozzart: Mozzart) -> Reader:
    wait_until(lambda: mozzart.stored() == 2 * len(CRAFTED), "all are stored", within=60)
    made = Reader(mozzart)
    made.sign_in()
    made.view(row_of(mozzart, "deep"))  # the worker is there from now on
    return made


def row_of(mozzart: Mozzart, name: str) -> int:
    query = "SELECT id FROM mailbox_app_mailmessage WHERE json_extract(headers, '$[0][1]') = ?"
    (row,) = mozzart.rows(query, name)
    found: int = row["id"]
    return found


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_mail_costs_little_more_than_a_plain_one_of_its_size(reader: Reader, name: str) -> None:
    mozzart = reader.mozzart
    plain, crafted = reader.cost(row_of(mozzart, f"plain {name}")), row_of(mozzart, name)
    memory = _memory(mozzart)
    pages = reader.view(crafted)
    grown = _memory(mozzart) - memory

    assert all(len(page) <= MEGABYTE for page in pages), [len(page) for page in pages]
    assert grown <= 50 << 20
    assert reader.cost(crafted) - plain <= 0.2


def test_lists_are_small_too(reader: Reader) -> None:
    assert len(reader.get("/admin/messages/")) <= MEGABYTE


def test_what_is_not_shown_is_a_click_away(reader: Reader) -> None:
    header, text = (row_of(reader.mozzart, name) for name in ("a header of 8 MB", "much text"))
    assert b"headers/" in reader.view(header)[0]
    assert len(reader.get(f"/admin/messages/{header}/headers/")) > 8 * MEGABYTE
    assert b"text/" in reader.view(text)[0]
    assert reader.get(f"/admin/messages/{text}/text/").count("\u202e".encode()) == MEGABYTE
    many = row_of(reader.mozzart, "many attachments")
    assert b"Show all 2,000 attachments" in reader.view(many)[0]
    assert reader.get(f"/admin/messages/{many}/?all").count(b"/api/attachments/") == 2_000


def test_signing_in_beside_eight_such_views_takes_half_a_second_more_at_most(reader: Reader) -> None:
    rows = [row_of(reader.mozzart, name) for name in ("formatting that is opened again", "misnested") for _ in range(4)]
    alone, beside = [], []
    for _ in range(3):
        alone.append(Reader(reader.mozzart).sign_in())
        with ThreadPoolExecutor(len(rows)) as others:
            views = [others.submit(reader.view, row) for row in rows]
            beside.append(Reader(reader.mozzart).sign_in())
            for view in views:
                view.result(60)
        if beside[-1] - alone[-1] < 0.5:
            return
    assert min(beside) - min(alone) < 0.5
