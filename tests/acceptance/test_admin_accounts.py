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
from tests.support.openid import MakeDovecot, OpenId
from tests.support.processes import Mozzart
from tests.support.programs import free_port, wait_until

HIDDEN = "hidden-pass-8862"
WRONG = "hidden-wrong-8863"


@pytest.fixture
def visitor(chromium: Browser, make_mozzart: Callable[..., Mozzart]) -> Iterator[tuple[Visitor, Mozzart]]:
    mozzart = make_mozzart(ADMIN_PASSWORD=PASSWORD, ACCOUNT_HOSTS="127.0.0.1,localhost").start().wait_ready()
    with closing(chromium.new_context()) as context:
        yield Visitor(context, f"http://127.0.0.1:{mozzart.api_port}"), mozzart


def find(page: Page, address: str) -> None:
    """The first step."""
    page.locator("#add input[name=user]").fill(address)
    page.get_by_role("button", name="Find its server").click()


def fill(page: Page, dovecot: Dovecot, **changes: str) -> None:
    fields = {"user": "anna", "password": HIDDEN, "host": "127.0.0.1", "port": str(dovecot.port), "tls": "none"}
    for name, value in (fields | changes).items():
        if name == "tls":
            page.locator("select[name=tls]").select_option(value)
        else:
            page.locator(f"main input[name={name}]").fill(value)


def test_an_account_goes_its_whole_way_by_page(
    make_dovecot: Callable[..., Dovecot], visitor: tuple[Visitor, Mozzart]
) -> None:
    dovecot, (person, mozzart) = make_dovecot(password=HIDDEN, user="anna"), visitor
    dovecot.append(make_mail(1).raw)
    page = person.sign_in("/admin/accounts/")
    expect(page.get_by_role("heading", name="Add the first account")).to_be_visible()
    find(page, "anna@gmx.net")
    expect(page.locator("#found")).to_contain_text(
        "Found: imap.gmx.net, port 993, TLS from the start, as GMX is known. It takes a password"
    )
    person.open("/admin/accounts/")
    find(page, "anna")
    expect(page.locator("#found")).to_contain_text("Nothing is known of this address")
    fill(page, dovecot, password="")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Enter the password")
    expect(page.locator("input[name=user]")).to_have_value("anna")
    expect(page.locator("input[name=host]")).to_have_value("127.0.0.1")
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
    page.get_by_role("link", name="anna").click()
    expect(page.get_by_text("It was removed, and its mail was kept.")).to_be_visible()
    page.get_by_label("Yes, delete the mail of anna").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_contain_text("Its mail is being deleted")
    wait_until(lambda: mozzart.stored() == 0, lambda: mozzart.log_text()[-2000:], within=30)
    expect(page.get_by_role("link", name="anna")).to_have_count(0, timeout=30_000)

    lines = [" ".join(one.cmdline()) for one in psutil.Process(mozzart.pid).children(recursive=True)]
    for secret in (HIDDEN, WRONG):
        assert secret not in page.content()
        assert secret not in mozzart.log_text()
        assert secret not in " ".join(lines)
        kept = [path for path in mozzart.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert kept == []
    assert person.faults == []
    assert person.foreign_requests() == []


def application(openid: OpenId) -> dict[str, str]:
    """As the settings have it."""
    return {
        "OAUTH_CLIENT_ID": "client",
        "OAUTH_CLIENT_SECRET": openid.clients["client"],
        "OAUTH_TOKEN_URL": f"{openid.url}/token",
        "OAUTH_AUTHORIZE_URL": f"{openid.url}/authorize",
        "OAUTH_SCOPE": "imap",
        "ADMIN_PASSWORD": PASSWORD,
        "ACCOUNT_HOSTS": "127.0.0.1",
    }


def test_an_account_is_added_by_signing_in_at_its_provider_and_signed_in_again(
    chromium: Browser, make_oauth_dovecot: MakeDovecot, openid: OpenId, make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_oauth_dovecot()
    dovecot.append(make_mail(1).raw)
    mozzart = make_mozzart(LOG_LEVEL="DEBUG", **application(openid)).start().wait_ready()
    base = f"http://127.0.0.1:{mozzart.api_port}"
    with closing(chromium.new_context()) as context:
        person = Visitor(context, base)
        page = person.sign_in("/admin/accounts/")
        find(page, "anna@gmail.com")
        expect(page.locator("#found")).to_contain_text("Google takes a sign-in, or an app password")
        expect(page.locator("#redirect-uri")).to_have_text(f"{base}/admin/oauth/callback/")
        expect(page.get_by_role("heading", name="Sign in at Google", exact=True)).to_be_visible()

        person.open("/admin/accounts/")
        find(page, "anna")
        fill(page, dovecot, password="")
        page.get_by_role("button", name="Sign in at 127.0.0.1").click()
        expect(page.get_by_role("status")).to_contain_text("Added.", timeout=20_000)
        expect(page.get_by_role("heading", name="anna")).to_be_visible()
        mozzart.wait_stored(1)
        expect(page.get_by_text("works")).to_be_visible(timeout=20_000)
        (asked,) = [form for form in openid.asked if form["grant_type"] == "authorization_code"]
        assert asked["redirect_uri"] == f"{base}/admin/oauth/callback/"
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_role("heading", name="The test passed")).to_be_visible()
        expect(page.locator("[data-step=token]")).to_be_visible()

        # The address that the browser came back to is good no more, nor is one that nobody began.
        back = next(url for url in person.requests if "/admin/oauth/callback/" in url)
        for address in (back, f"{base}/admin/oauth/callback/?state=x&code=y"):
            page.goto(address)
            expect(page.get_by_text("the end of no sign-in that was begun in this session")).to_be_visible()

        openid.grants[-1].revoked = True
        openid.expire()
        dovecot.restart()
        person.open("/admin/accounts/anna/")
        expect(page.get_by_role("alert")).to_contain_text("Sign in again: on the page of the account", timeout=60_000)
        dovecot.append(make_mail(2).raw)
        openid.refusal = (400, {"error": "invalid_grant", "error_description": "not today"}, {})
        page.get_by_role("button", name="Sign in again").click()
        expect(page.get_by_role("alert").first).to_contain_text("not today", timeout=20_000)
        openid.refusal = None
        page.get_by_role("button", name="Sign in again").click()
        expect(page.get_by_role("status")).to_contain_text("Signed in.", timeout=20_000)
        mozzart.wait_stored(2)
        shown = page.content()
        assert person.faults == []
    secrets = {*openid.accesses, *openid.refreshed, *openid.clients.values(), asked["code_verifier"]}
    assert len(openid.refreshed) >= 2
    for secret in secrets:
        assert secret not in shown
        assert secret not in mozzart.log_text()
        kept = [path for path in mozzart.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert kept == []


def test_another_application_is_entered_and_what_is_wrong_with_it_is_told(
    chromium: Browser, make_oauth_dovecot: MakeDovecot, openid: OpenId, make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_oauth_dovecot()
    fixed = "http://localhost:{}/admin/oauth/callback/"
    mozzart = make_mozzart(ADMIN_PASSWORD=PASSWORD, ACCOUNT_HOSTS="127.0.0.1")
    mozzart.environment["OAUTH_REDIRECT_URI"] = fixed.format(mozzart.api_port)
    mozzart.start().wait_ready()
    with closing(chromium.new_context()) as context:
        person = Visitor(context, f"http://localhost:{mozzart.api_port}")
        page = person.sign_in("/admin/accounts/")
        find(page, "anna")
        fill(page, dovecot, password="")
        page.get_by_text("The application that is registered there").click()
        page.get_by_role("button", name="Sign in with it").click()
        expect(page.get_by_role("alert")).to_contain_text("Enter the client id")
        for secret, words in (("wrong", "its secret is wrong"), (openid.clients["client"], "")):
            if not page.locator("input[name=oauth_client_id]").is_visible():
                page.get_by_text("The application that is registered there").click()
            page.locator("input[name=oauth_client_id]").fill("client")
            page.locator("input[name=oauth_client_secret]").fill(secret)
            if not page.locator("input[name=oauth_token_url]").is_visible():
                page.get_by_text("Addresses of another provider").click()
            page.locator("input[name=oauth_token_url]").fill(f"{openid.url}/token")
            page.locator("input[name=oauth_authorize_url]").fill(f"{openid.url}/authorize")
            page.locator("input[name=oauth_scope]").fill("imap")
            page.get_by_role("button", name="Sign in with it").click()
            if words:
                expect(page.get_by_role("alert")).to_contain_text(words, timeout=20_000)
                expect(page.locator("input[name=host]")).to_have_value("127.0.0.1")
        expect(page.get_by_role("status")).to_contain_text("Added.", timeout=20_000)
        expect(page.get_by_text("works")).to_be_visible(timeout=20_000)
        assert {form["redirect_uri"] for form in openid.asked if "redirect_uri" in form} == {
            fixed.format(mozzart.api_port)
        }


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
