"""What a person reads first: an address that opens, where the secrets are and never what they are, how to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcore.settings import Settings
from supervisor.first_screen import first_screen

SECRETS = {"api_token": "secret-token-1", "admin_password": "secret-password-2"}


def said(**given: object) -> str:
    return first_screen(Settings(_env_file=None, **given))  # type: ignore[arg-type]


def test_it_names_address_user_and_where_everything_lies() -> None:
    text = said(data_dir=Path("/srv/d"), media_root=Path("/srv/m"), api_port=8123)
    for words in (
        "http://127.0.0.1:8123/admin/",
        "user admin, password: in /srv/d/admin.password",
        "http://127.0.0.1:8123/api/docs/",
        "token: in /srv/d/api.token",
        "/srv/d/mozzart.db",
        "/srv/m",
        "Ctrl-C",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_secret_is_in_it() -> None:
    url = "postgresql://user:secret-3@db.example/mail"
    text = said(**SECRETS, database_url=url)
    assert "secret-" not in text
    assert "password: ADMIN_PASSWORD" in text
    assert "token: API_TOKEN" in text
    assert "db.example/mail" in text


@pytest.mark.parametrize(
    ("host", "opened"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("mail.lan", "mail.lan")]
)
def test_the_address_is_one_that_a_browser_opens(host: str, opened: str) -> None:
    assert f"http://{opened}:8000/admin/" in said(api_host=host)


def test_a_port_that_the_system_chose_is_not_guessed() -> None:
    assert ":0/" not in said(api_port=0)
