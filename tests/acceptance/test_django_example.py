"""examples/django_project, run by a real Django against a real installation, driven as a browser drives it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from mailcore.store.schema import attachments, mailboxes, messages
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import answers, free_port, wait_until

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "django_project"
PASSWORD = "a-password-only-for-tests-77c"


class Site:
    """The Django site, with one logged-in browser's cookies."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def get(self, path: str) -> tuple[dict[str, str], bytes]:
        with self._opener.open(self._root + path, timeout=60) as response:
            return {name.lower(): value for name, value in response.headers.items()}, response.read()

    def page(self, path: str) -> str:
        return self.get(path)[1].decode()

    def post(self, path: str, **fields: str) -> str:
        """Send a form, with the CSRF token of the cookie; the page that it leads to."""
        token = next(cookie.value for cookie in self._cookies if cookie.name == "csrftoken")
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token or "", **fields}).encode()
        request = urllib.request.Request(self._root + path, data, {"Referer": self._root + path})
        with self._opener.open(request, timeout=60) as response:
            return str(response.read().decode())

    def log_in(self) -> None:
        self.page("/admin/login/")
        assert "Site administration" in self.post("/admin/login/", username="anna", password=PASSWORD, next="/admin/")


@contextlib.contextmanager
def django(mozzart: Mozzart) -> Iterator[Site]:
    """The example, with its own database made and a user in it."""
    port = free_port()
    settings = {
        **mozzart.settings,
        "PYTHONWARNINGS": "error",
        "DJANGO_SECRET_KEY": "only-for-tests",
        "DJANGO_DATABASE": str(mozzart.home / "django.sqlite3"),
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "MOZZART_API": f"http://127.0.0.1:{mozzart.api_port}",
        "MOZZART_TOKEN": mozzart.token,
    }

    def manage(*arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    manage("check", "--database", "mail")
    manage("migrate", "--verbosity", "0")
    manage("createsuperuser", "--noinput", "--username", "anna", "--email", "anna@example.org")
    with (mozzart.home / "django.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", "--nostatic", f"127.0.0.1:{port}"],
            cwd=PROJECT,
            env=settings,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: answers(port), lambda: (mozzart.home / "django.log").read_text(), within=30)
        site = Site(port)
        site.log_in()
        yield site
    except urllib.error.HTTPError as error:
        error.close()
        raise AssertionError(f"{error}: {(mozzart.home / 'django.log').read_text()[-4000:]}") from None
    finally:
        server.kill()
        server.wait()


def alerts(page: str) -> list[str]:
    """What the admin tells above the page."""
    return re.findall(r'<li class="(?:success|error|warning)">(.*?)</li>', page, re.DOTALL)


def test_the_models_name_columns_that_exist() -> None:
    text = (PROJECT / "mailbox_app" / "models.py").read_text()
    tables = {table.name: table for table in (mailboxes, messages, attachments)}
    found = re.findall(r"^class .*?db_table = \"(\w+)\"", text, re.DOTALL | re.MULTILINE)
    assert set(found) == set(tables)
    for block in re.findall(r"^class .*?db_table = \"\w+\"", text, re.DOTALL | re.MULTILINE):
        table = tables[block.rpartition("db_table = ")[2].strip('"')]
        for name, kind in re.findall(r"^    (\w+) = models\.(\w+)\(", block, re.MULTILINE):
            column = table.c[f"{name}_id" if kind == "ForeignKey" else name]
            assert ("null=True" in re.search(rf"^    {name} = .*$", block, re.MULTILINE)[0]) == column.nullable, name  # type: ignore[index]


def test_the_button_of_the_admin_fetches_what_is_on_the_server_and_the_admin_shows_it(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready().wait_live("idling")
    mail = make_mail(3, files=(5_000,))
    with django(mozzart) as site:
        page = site.page("/admin/mailbox_app/mailboxstate/")
        assert "Sync mailbox now" in page
        assert "INBOX" in page

        dovecot.append(mail.raw)
        (told,) = alerts(site.post("/admin/mailbox_app/mailboxstate/sync/"))
        assert re.match(r"Synced in \d+ ms: [01] found, [01] published, [01] stored, 0 expunged", told), told
        mozzart.wait_stored(1)

        assert mail.subject in site.page("/admin/mailbox_app/mailmessage/")
        (row,) = mozzart.rows("SELECT id FROM mailbox_app_mailmessage")
        detail = site.page(f"/admin/mailbox_app/mailmessage/{row['id']}/change/")
        (link,) = re.findall(r'href="(/admin/mailbox_app/mailmessage/attachment/\d+/)"', detail)
        headers, content = site.get(link)

    assert len(content) == mail.files[0].size
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"


def test_the_button_says_in_words_why_nothing_was_synced(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart().start().wait_ready()
    with django(mozzart) as site:
        (told,) = alerts(site.post("/admin/mailbox_app/mailboxstate/sync/"))
        assert told == "Nothing was synced: IMAP settings not configured; skipping sync."


def test_the_admin_changes_nothing_and_syncs_by_post_alone(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart().start().wait_ready()
    with django(mozzart) as site:
        for path, status in (
            ("/admin/mailbox_app/mailboxstate/sync/", 405),
            ("/admin/mailbox_app/mailmessage/add/", 403),
            ("/admin/mailbox_app/mailboxstate/add/", 403),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                site.page(path)
            assert refused.value.code == status
            refused.value.close()
