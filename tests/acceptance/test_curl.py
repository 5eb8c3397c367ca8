"""`curl` with a cookie jar, as scripts of the Django app used it: docs/api.md's own lines, and what must not work."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import need_program

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
PASSWORD = 'a pass&word+only "for" tests ä'
SYNC = "/api/mailbox/sync/"


@pytest.fixture
def mozzart(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    need_program("curl", "curl")
    dovecot.append(make_mail(1).raw)
    return make_mozzart(ADMIN_PASSWORD=PASSWORD).use(dovecot).start().wait_ready().wait_live()


def shell(mozzart: Mozzart, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=mozzart.home,
        env=mozzart.settings,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(mozzart: Mozzart, *arguments: str) -> int:
    """Of a request with the jar; `TOKEN` in an argument is the jar's csrftoken."""
    jar = (mozzart.home / "jar").read_text()
    found = re.search(r"\tcsrftoken\t(\S+)$", jar, re.MULTILINE)
    assert found, jar
    words = [word.replace("TOKEN", found[1]) for word in arguments]
    url = f"http://127.0.0.1:{mozzart.api_port}{SYNC}"
    command = ["curl", "-s", "-o", "answer", "-w", "%{http_code}", "-b", "jar", *words, url]
    done = subprocess.run(command, cwd=mozzart.home, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


def test_the_documented_lines_sign_in_and_sync_and_nothing_less_does(mozzart: Mozzart) -> None:
    script = next(
        block for block in re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL) if "-c jar" in block
    )

    said = shell(mozzart, script.replace("127.0.0.1:8000", f"127.0.0.1:{mozzart.api_port}"))
    assert json.loads(said)["status"] == "ok"

    assert status(mozzart, "-X", "POST", "-H", "X-CSRFToken: TOKEN") == 202
    assert status(mozzart, "-X", "POST") == 403
    assert "X-CSRFToken" in (mozzart.home / "answer").read_text()
    assert status(mozzart, "-X", "POST", "-H", "X-CSRFToken: something-else") == 403
    assert status(mozzart, "-X", "POST", "-H", "X-CSRFToken: TOKEN", "-H", "Host: evil.example") == 400
    # A form on another site's page: the browser adds the cookies and says where it comes from.
    form = ("--data-urlencode", "csrfmiddlewaretoken=TOKEN")
    assert status(mozzart, *form, "-H", "Origin: https://evil.example", "-e", "https://evil.example/") == 403
    assert status(mozzart, "-d", "account=default", "-H", "Sec-Fetch-Site: cross-site") == 403
    assert status(mozzart, "-X", "POST", "-b", "sessionid=none", "-H", "X-CSRFToken: TOKEN") == 401
