"""The page of accounts in a real browser: add, test, pause, resume, remove; and its secrets are nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PASSWORD, Visitor
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import free_port, wait_until

HIDDEN = "hidden-pass-8862"
WRONG = "hidden-wrong-8863"


@pytest.fixture
def visitor(chromium: Browser, make_mozzart: Callable[..., Mozzart]) -> Iterator[tuple[Visitor, Mozzart]]:
    mozzart = make_mozzart(ADMIN_PASSWORD=PASSWORD, ACCOUNT_HOSTS="127.0.0.1,localhost").start().wait_ready()
    with closing(chromium.new_context()) as context:
        yield Visitor(context, f"http://127.0.0.1:{mozzart.api_port}"), mozzart


def fill(page: Page, dovecot: Dovecot, **changes: str) -> None:
    fields = {"user": "anna", "password": HIDDEN, "host": "127.0.0.1", "port": str(dovecot.port), "tls": "none"}
    for name, value in (fields | changes).items():
        if name == "tls":
            page.locator("select[name=tls]").select_option(value)
        else:
            page.locator(f"input[name={name}]").fill(value)


def test_an_account_goes_its_whole_way_by_page(
    make_dovecot: Callable[..., Dovecot], visitor: tuple[Visitor, Mozzart]
) -> None:
    dovecot, (person, mozzart) = make_dovecot(password=HIDDEN, user="anna"), visitor
    dovecot.append(make_mail(1).raw)
    page = person.sign_in("/admin/accounts/")
    expect(page.get_by_role("heading", name="Add the first account")).to_be_visible()
    fill(page, dovecot, password="")
    page.locator("input[name=password]").evaluate("input => input.required = false")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Enter the password")
    expect(page.locator("input[name=user]")).to_have_value("anna")
    fill(page, dovecot)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="anna")).to_be_visible()
    mozzart.wait_stored(1)
    expect(page.get_by_text("works")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("1 of 1")).to_be_visible(timeout=20_000)

    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="The test passed")).to_be_visible()
    expect(page.locator("[data-step=idle]")).to_contain_text("the server pushes")

    nothing = str(free_port())
    for changes, step, words in (
        ({"host": "nowhere.invalid"}, "name", "the host name was not found"),
        ({"host": "10.255.255.1"}, "address", "none of ACCOUNT_HOSTS"),
        ({"port": nothing}, "tcp", "Connection refused"),
        ({"host": "localhost", "port": str(dovecot.tls_port), "tls": "tls"}, "tls", "certificate is not trusted"),
        ({"password": WRONG}, "login", "login of 'anna' refused"),
    ):
        fill(page, dovecot, **changes)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("It logs in again.")).to_be_visible()
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_role("heading", name="The test failed")).to_be_visible(timeout=30_000)
        last = page.locator("[data-step]").last
        expect(last).to_have_attribute("data-step", step)
        expect(last).to_contain_text(words)

    fill(page, dovecot, password="", port=nothing)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").first).to_contain_text("enter the password again")
    fill(page, dovecot)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("works")).to_be_visible(timeout=20_000)

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    wait_until(lambda: not mozzart.live(), "it is logged out", within=5)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    mozzart.wait_live("idling")

    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="anna")).to_be_visible()
    page.get_by_label(re.compile("Yes, remove anna")).check()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("status")).to_contain_text("Its mail stays")
    wait_until(lambda: not mozzart.live(), "it is logged out", within=5)
    assert mozzart.stored() == 1

    lines = [" ".join(one.cmdline()) for one in psutil.Process(mozzart.pid).children(recursive=True)]
    for secret in (HIDDEN, WRONG):
        assert secret not in page.content()
        assert secret not in mozzart.log_text()
        assert secret not in " ".join(lines)
        kept = [path for path in mozzart.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert kept == []
    assert person.faults == []
    assert person.foreign_requests() == []


def test_an_account_of_the_settings_is_shown_and_not_changed_here(
    chromium: Browser, dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(ADMIN_PASSWORD=PASSWORD).use(dovecot).start().wait_ready()
    with closing(chromium.new_context()) as context:
        person = Visitor(context, f"http://127.0.0.1:{mozzart.api_port}")
        page = person.sign_in("/admin/accounts/")
        page.get_by_role("link", name="default").click()
        expect(page.get_by_text("are changed there")).to_be_visible()
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_role("heading", name="The test passed")).to_be_visible()
