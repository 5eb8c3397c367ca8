"""Settings from the environment, `.env` and secret files; errors that name the variable and never show a secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mailcore.errors import SettingsError
from mailcore.settings import DEFAULT_ACCOUNT, NOT_CONFIGURED, Account, Settings, load_settings, url_secrets

COMPLETE = {"IMAP_HOST": "imap.example.com", "IMAP_USER": "ana", "IMAP_PASSWORD": "correct horse"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No setting is set, and the working directory has no `.env`."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def put(environment: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        environment.setenv(name, value)


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_the_sentence_is_the_one_that_operators_know() -> None:
    assert NOT_CONFIGURED == "IMAP settings not configured; skipping sync."


def test_the_defaults_are_those_of_the_contract(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()

    assert (settings.imap_port, settings.imap_use_ssl, settings.imap_starttls) == (993, True, False)
    assert (settings.imap_mailbox, settings.imap_backfill) == (("INBOX",), "all")
    assert settings.database_url == "sqlite+aiosqlite:///data/mozzart.db"
    assert (settings.data_dir, settings.media_root, settings.nats_url) == (Path("data"), Path("media"), "")
    assert (settings.api_host, settings.api_port, settings.sync_interval) == ("127.0.0.1", 8000, 60)
    assert settings.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert (settings.log_format, settings.log_level) == ("console", "INFO")


def test_the_database_follows_the_data_directory(environment: pytest.MonkeyPatch) -> None:
    put(environment, DATA_DIR="/srv/mail")

    assert load_settings().database_url == "sqlite+aiosqlite:////srv/mail/mozzart.db"


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_without_host_user_or_password_nothing_is_configured(environment: pytest.MonkeyPatch, missing: str) -> None:
    put(environment, **{**COMPLETE, missing: ""})

    assert not load_settings().imap_configured
    assert load_settings().accounts == ()


def test_the_imap_settings_are_the_account_named_default(environment: pytest.MonkeyPatch) -> None:
    put(environment, **COMPLETE, IMAP_MAILBOX="INBOX, Invoices/%,INBOX", IMAP_BACKFILL="30")

    (account,) = load_settings().accounts
    assert account.name == DEFAULT_ACCOUNT
    assert account.mailboxes == ("INBOX", "Invoices/%")
    assert account.backfill == 30
    assert account.password.get_secret_value() == "correct horse"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (993, True, False)),
        ({"IMAP_USE_SSL": "False"}, (143, False, False)),
        ({"IMAP_STARTTLS": "True"}, (143, False, True)),
        ({"IMAP_STARTTLS": "True", "IMAP_PORT": "1143"}, (1143, False, True)),
        ({"IMAP_USE_SSL": "False", "IMAP_PORT": "993"}, (993, False, False)),
    ],
)
def test_the_port_follows_the_way_of_connecting(
    environment: pytest.MonkeyPatch, values: dict[str, str], expected: tuple[int, bool, bool]
) -> None:
    put(environment, **COMPLETE, **values)

    (account,) = load_settings().accounts
    assert (account.port, account.use_ssl, account.starttls) == expected


def test_tls_from_the_start_and_starttls_exclude_each_other(environment: pytest.MonkeyPatch) -> None:
    put(environment, **COMPLETE, IMAP_USE_SSL="True", IMAP_STARTTLS="True")

    assert "IMAP_USE_SSL" in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAP_PORT", "0"),
        ("IMAP_PORT", "imaps"),
        ("IMAP_USE_SSL", "perhaps"),
        ("IMAP_BACKFILL", "-1"),
        ("IMAP_BACKFILL", "some"),
        ("SYNC_INTERVAL", "0"),
        ("SYNC_INTERVAL", "nan"),
        ("SYNC_INTERVAL", "inf"),
        ("API_PORT", "65536"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("IMAP_MAILBOX", " , "),
        ("NATS_URL", "http://localhost"),
        ("DATABASE_URL", "mysql://localhost/mail"),
    ],
)
def test_a_wrong_setting_is_named(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    put(environment, **COMPLETE, **{name: value})

    said = refusal()
    assert f"{name}:" in said
    assert COMPLETE["IMAP_PASSWORD"] not in said


@pytest.mark.parametrize(
    ("name", "value"), [("NATS_URL", "ftp://top-secret@host"), ("DATABASE_URL", "mysql://u:top-secret@host/db")]
)
def test_an_error_never_shows_a_secret(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    put(environment, **{name: value})

    assert "top-secret" not in refusal()


def test_repr_and_str_hold_no_secret(environment: pytest.MonkeyPatch) -> None:
    secrets = {
        "IMAP_PASSWORD": "s3cret-imap",
        "API_TOKEN": "s3cret-token",
        "ADMIN_PASSWORD": "s3cret-admin",
        "NATS_URL": "nats://user:s3cret-nats@localhost:4222",
        "DATABASE_URL": "postgresql+asyncpg://u:s3cret-db@localhost/m",
    }
    put(environment, **{**COMPLETE, **secrets})
    settings = load_settings()

    assert "s3cret" not in f"{settings!r} {settings} {settings.accounts!r}"
    told = {"s3cret-imap", "s3cret-token", "s3cret-admin", "s3cret-nats", "s3cret-db"}
    assert told <= set(settings.secrets())


@pytest.mark.parametrize("name", ["IMAP_PASSWORD", "API_TOKEN", "ADMIN_PASSWORD"])
def test_a_secret_can_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("  from a file \n")
    put(environment, **{f"{name}_FILE": str(tmp_path / "secret")})

    secret = getattr(load_settings(), name.lower())
    assert isinstance(secret, SecretStr)
    assert secret.get_secret_value() == "  from a file ", "only the line end belongs to the file"


def test_a_secret_in_two_places_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("in the file")
    put(environment, IMAP_PASSWORD="in the variable", IMAP_PASSWORD_FILE=str(tmp_path / "secret"))

    said = refusal()
    assert "IMAP_PASSWORD and IMAP_PASSWORD_FILE" in said
    assert "in the" not in said


def test_a_secret_file_that_is_not_there_is_named(environment: pytest.MonkeyPatch) -> None:
    put(environment, IMAP_PASSWORD_FILE="/nowhere/secret")

    said = refusal()
    assert "IMAP_PASSWORD_FILE" in said
    assert "/nowhere/secret" in said


def test_dotenv_is_read_and_the_environment_overrules_it(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IMAP_HOST=from.dotenv\nIMAP_PORT=1\nDJANGO_SECRET_KEY=not-ours\nAPI_PORT=\n")
    put(environment, IMAP_PORT="2")

    settings = load_settings()
    assert (settings.imap_host, settings.imap_port, settings.api_port) == ("from.dotenv", 2, 8000)


def test_the_drivers_are_ours_to_choose(environment: pytest.MonkeyPatch) -> None:
    put(environment, DATABASE_URL="postgres://u:p@db/mail", NATS_URL="broker:4222")

    settings = load_settings()
    assert settings.database_url == "postgresql+asyncpg://u:p@db/mail"
    assert settings.nats_url == "nats://broker:4222"


def test_several_nats_servers_may_be_named(environment: pytest.MonkeyPatch) -> None:
    put(environment, NATS_URL="nats://tok-1@a:4222,b:4222")

    assert load_settings().nats_url == "nats://tok-1@a:4222,nats://b:4222"
    assert "tok-1" in load_settings().secrets()


def test_the_address_of_the_running_system_is_found_in_the_data_directory(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings()
    with pytest.raises(SettingsError, match="mozzart up"):
        settings.with_nats_url()

    (tmp_path / "data").mkdir()
    settings.nats_url_path.write_text("nats://tok@127.0.0.1:1\n")
    assert settings.with_nats_url().nats_url == "nats://tok@127.0.0.1:1"
    assert settings.nats_url == "", "settings never change"

    put(environment, NATS_URL="nats://elsewhere:4222")
    assert load_settings().with_nats_url().nats_url == "nats://elsewhere:4222"


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_any_password_in_a_url_is_a_secret(password: str) -> None:
    assert password in url_secrets(f"postgresql+asyncpg://user:{password}@host/db")
    assert password in url_secrets(f"nats://{password}@host:4222")
    assert url_secrets("sqlite+aiosqlite:///data/mozzart.db") == []


@given(st.integers(1, 65535), st.booleans(), st.booleans())
def test_a_port_that_was_given_is_kept(port: int, use_ssl: bool, starttls: bool) -> None:
    account = Account(
        name="a",
        host="h",
        user="u",
        password=SecretStr("p"),
        port=port,
        use_ssl=use_ssl and not starttls,
        starttls=starttls,
    )
    assert account.port == port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_MAX_AGE", "0"),
        ("MESSAGES_MAX_AGE", "0"),
        ("EVENTS_MAX_AGE", "nan"),
        ("MAIL_MAX_BYTES", "1000"),
        ("EVENTS_MAX_BYTES", "4 GiB"),
    ],
)
def test_a_stream_that_would_keep_nothing_is_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    put(environment, **{name: value})

    assert name in refusal()


def test_how_long_streams_keep_is_given_in_days(environment: pytest.MonkeyPatch) -> None:
    put(environment, MAIL_MAX_AGE="0.5", EVENTS_MAX_BYTES="268435456")

    assert load_settings().retention == {
        "max_age": timedelta(hours=12),
        "max_bytes": 4 << 30,
        "events_max_age": timedelta(days=3),
        "events_max_bytes": 256 << 20,
    }


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("IMAP_PASSWROD", "IMAP_PASSWORD"),
        ("IMAP_MAILBOXES", "IMAP_MAILBOX"),
        ("SYNC_INTERVALL", "SYNC_INTERVAL"),
        ("API_PROT", "API_PORT"),
        ("imap_hots", "IMAP_HOST"),
        ("DATABASE_URLS", "DATABASE_URL"),
    ],
)
def test_a_name_that_is_almost_a_setting_is_told(environment: pytest.MonkeyPatch, name: str, meant: str) -> None:
    Path(".env").write_text(f"{name}=x\n")
    (sentence,) = load_settings().warnings
    assert sentence == f"{name} in .env is not a setting; did you mean {meant}?"
    Path(".env").unlink()
    put(environment, **{name: "secret"})
    (sentence,) = load_settings().warnings
    assert sentence == f"{name} in the environment is not a setting; did you mean {meant}?"


def test_what_others_call_their_settings_is_theirs(environment: pytest.MonkeyPatch) -> None:
    names = "HOSTNAME PATH HOME LOG MEDIA_URL DJANGO_SETTINGS_MODULE POSTGRES_PASSWORD COMPOSE_PROFILES NATS_VERSION"
    own = "IMAP_PASSWORD_ANNA API_KEY MAIL_HOST SMTP_PORT DATABASE_NAME IMAP imap_host IMAP_PASSWORD_FILE_2"
    Path(".env").write_text("".join(f"{name}=x\n" for name in f"{names} {own}".split()))
    assert load_settings().warnings == ()


def test_with_a_token_command_no_password_is_needed(environment: pytest.MonkeyPatch) -> None:
    put(environment, IMAP_HOST="h", IMAP_USER="anna", IMAP_AUTH="command", IMAP_PASSWORD="left over")
    assert "TOKEN_COMMAND must be set with IMAP_AUTH=command" in refusal()

    put(environment, TOKEN_COMMAND="show-token anna")
    (account,) = load_settings().accounts
    assert (account.auth, account.token_command, account.password.get_secret_value()) == (
        "command",
        "show-token anna",
        "",
    )
    assert (account.setting("token_command"), account.setting("auth")) == ("TOKEN_COMMAND", "IMAP_AUTH")
    assert "TOKEN_COMMAND" in account.credentials


def test_oauth_needs_no_password_and_a_fault_names_the_variable(environment: pytest.MonkeyPatch) -> None:
    put(environment, IMAP_HOST="h", IMAP_USER="anna", IMAP_AUTH="oauth", OAUTH_PROVIDER="microsoft")
    assert "OAUTH_CLIENT_ID: is missing" in refusal()
    put(environment, OAUTH_CLIENT_ID="id", OAUTH_GRANT="client_credentials", OAUTH_CLIENT_SECRET="hidden-secret")
    assert "OAUTH_TENANT: is missing" in refusal()
    put(environment, OAUTH_TENANT="example.com", OAUTH_REFRESH_TOKEN="hidden-token")
    settings = load_settings()
    (account,) = settings.accounts
    assert account.oauth is not None
    assert (account.setting("client_secret"), account.setting("scope")) == ("OAUTH_CLIENT_SECRET", "OAUTH_SCOPE")
    assert {"hidden-secret", "hidden-token"} <= set(settings.secrets())
    assert "hidden" not in f"{settings!r}{account!r}"


def test_a_key_that_is_none_is_refused_and_not_shown(environment: pytest.MonkeyPatch) -> None:
    put(environment, SECRET_KEY="hidden-and-too-short")
    said = refusal()
    assert "SECRET_KEY: must be 32 random bytes in base64" in said
    assert "hidden" not in said
