"""The program's doors as its owner finds them after the first start: made credentials, a cookie jar, the log."""

from __future__ import annotations

import http.cookiejar
import re
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

import psutil

from tests.support.processes import Mozzart
from tests.support.programs import wait_until


class Jar:
    """`curl -b jar -c jar`."""

    def __init__(self, mozzart: Mozzart) -> None:
        self._base = f"http://127.0.0.1:{mozzart.api_port}"
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    @property
    def csrf(self) -> str:
        return next(cookie.value or "" for cookie in self._jar if cookie.name == "csrftoken")

    def ask(self, path: str, form: dict[str, str] | None = None, *, post: bool = False, **headers: str) -> int:
        data = urllib.parse.urlencode(form).encode() if form else b"" if post else None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with self._opener.open(urllib.request.Request(self._base + path, data, sent), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


def test_the_first_start_makes_credentials_tells_them_once_and_they_open(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart(API_TOKEN="").start()
    mozzart.wait_ready()
    data = mozzart.home / "data"
    for name in ("api.token", "admin.password", "session.key"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600, name
    password = (data / "admin.password").read_text().strip()

    jar = Jar(mozzart)
    assert jar.ask("/api/mailbox/sync/", post=True) == 401
    assert jar.ask("/admin/login/") == 200
    wrong = {"username": "admin", "password": "a-wrong-guess", "csrfmiddlewaretoken": jar.csrf}
    assert jar.ask("/admin/login/", wrong) == 403
    form = wrong | {"password": password, "next": "/api/docs/", "csrfmiddlewaretoken": jar.csrf}
    assert jar.ask("/admin/login/", form) == 200, "and followed to the page"

    # What the Django app's clients sent; 503: there are no IMAP settings.
    assert jar.ask("/api/mailbox/sync/", post=True, X_CSRFToken=jar.csrf) == 503
    assert jar.ask("/api/mailbox/sync/", post=True) == 403
    assert jar.ask("/api/mailbox/sync/", post=True, X_CSRFToken=jar.csrf, Origin="https://evil.example") == 403
    assert jar.ask("/api/mailbox/sync/", post=True, X_CSRFToken=jar.csrf, Host="evil.example") == 400

    killed = mozzart.kill("api")
    wait_until(lambda: not psutil.pid_exists(killed), "the killed api is gone")
    mozzart.wait_ready()
    assert jar.ask("/api/docs/") == 200, "the session outlives a restart of the api"

    said = mozzart.log_text()
    assert len(re.findall(re.escape(password), said)) == 1, "printed once"
    assert (data / "session.key").read_text().strip() not in said
    assert "a-wrong-guess" not in said
    assert "credentials refused" in said
