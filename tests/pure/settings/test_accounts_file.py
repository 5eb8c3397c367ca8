"""ACCOUNTS_FILE: what it takes, and the words for what it does not take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mailcore.account import Account
from mailcore.accounts import KEYS, PASSWORD_KEYS, change, read_accounts
from mailcore.errors import SettingsError
from mailcore.settings import DEFAULT_ACCOUNT, Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]
IMAP = {"IMAP_HOST": "imap.example.com", "IMAP_USER": "ana", "IMAP_PASSWORD": "correct horse"}
TABLE = "[[account]]\nname='a'\nhost='h'\nuser='u'\npassword='hidden-pw'\n"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """ACCOUNTS_FILE is set, and nothing else."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCOUNTS_FILE", "accounts.toml")
    return monkeypatch


def write(text: str) -> Path:
    path = Path("accounts.toml")
    path.write_text(text)
    path.chmod(0o600)
    return path


def refusal(text: str) -> str:
    write(text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    said = str(caught.value)
    assert "ACCOUNTS_FILE accounts.toml" in said
    assert "hidden-pw" not in said
    return said


def test_a_table_is_an_account_beside_that_of_the_imap_settings(environment: pytest.MonkeyPatch) -> None:
    for name, value in IMAP.items():
        environment.setenv(name, value)
    Path("password").write_text("pw2\n")
    write(
        """
        [[account]]
        name = "billing"
        host = "mail.example.net"
        user = "billing@example.net"
        password_file = "password"
        starttls = true
        mailboxes = ["INBOX", "a, b", "Invoices/%"]
        backfill = 30
        connections = 15
        """
    )

    first, second = load_settings().accounts

    assert (first.name, first.source, first.connections) == (DEFAULT_ACCOUNT, "environment", 10)
    assert (second.name, second.port, second.use_ssl, second.starttls) == ("billing", 143, False, True)
    assert second.mailboxes == ("INBOX", "a, b", "Invoices/%")
    assert (second.backfill, second.connections) == (30, 15)
    assert second.password.get_secret_value() == "pw2"
    assert (first.setting("host"), second.setting("host")) == ("IMAP_HOST", "`host`")


def test_the_account_of_a_table_may_be_the_default_one_when_imap_settings_are_gone(
    environment: pytest.MonkeyPatch,
) -> None:
    text = TABLE.replace("'a'", "'default'")
    write(text)
    assert [account.name for account in load_settings().accounts] == [DEFAULT_ACCOUNT]

    for name, value in IMAP.items():
        environment.setenv(name, value)
    assert "name: 'default' is the account of IMAP_HOST" in refusal(text)


def test_a_password_may_stand_in_the_environment_or_in_dotenv(environment: pytest.MonkeyPatch) -> None:
    write(TABLE.replace("password='hidden-pw'", "password_env='Their_Password'"))
    Path(".env").write_text("Their_Password=from-dotenv\n")
    assert load_settings().accounts[0].password == SecretStr("from-dotenv")

    environment.setenv("Their_Password", "from-the-environment")
    settings = load_settings()
    assert settings.accounts[0].password == SecretStr("from-the-environment")
    assert "from-the-environment" in settings.secrets()
    assert "from-the-environment" not in f"{settings!r} {settings.accounts!r}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("", "port=0\n"), "[[account]] 1 (a): port: "),
        (("", "backfill='some'\n"), "[[account]] 1 (a): backfill: must be `all`, `none` or a number of days"),
        (("", "connections=2\n"), "[[account]] 1 (a): connections: "),
        (("", "mailboxes=[]\n"), "[[account]] 1 (a): mailboxes: "),
        (("", "mailboxes=['']\n"), "[[account]] 1 (a): mailboxes: "),
        (("", "colour='red'\n"), "[[account]] 1 (a): colour: unknown; known are auth, backfill, "),
        (("", "mailbox='x'\n"), "[[account]] 1 (a): mailbox: unknown; did you mean mailboxes?"),
        (("", "IMAP_USE_SSL=true\n"), "[[account]] 1 (a): IMAP_USE_SSL: unknown; did you mean use_ssl?"),
        (("", 'source="file"\n'), "[[account]] 1 (a): source: unknown"),
        (("", "starttls=true\nuse_ssl=true\n"), "[[account]] 1 (a): use_ssl and starttls exclude each other"),
        (("name='a'", ""), "[[account]] 1: name: is missing"),
        (("name='a'", r'name="a\u0007"'), "[[account]] 1: name: cannot be an account's name: no control characters"),
        (("name='a'", "name=' a'"), "[[account]] 1 ( a): name: cannot be an account's name"),
        (("name='a'", "name=''"), "name: "),
        (("name='a'", f"name='{'a' * 101}'"), "name: "),
        (("password='hidden-pw'", ""), "password: is missing; set password_file, password_env or password"),
        (("password='hidden-pw'", "password=''"), "password: must be text in quotes, and not empty"),
        (("password='hidden-pw'", "password=7"), "password: must be text in quotes"),
        (("", "password_file='hidden-pw'\n"), "password_file and password are set; keep one of them"),
        (("password='hidden-pw'", "password_file='/nowhere/pw'"), "password_file: /nowhere/pw cannot be read"),
        (("password='hidden-pw'", "password_env='NOBODY_SET'"), "password_env: 'NOBODY_SET' is not set"),
        (("", "auth='command'\ntoken_command='x'\n"), "password: is not used with auth = command; remove it"),
        (("password='hidden-pw'", "auth='command'"), "token_command: is missing; auth = command needs it"),
        (("", "token_command='x'\n"), "token_command: is not used with auth = password; remove it"),
        (("", "auth='oath'\n"), "auth: "),
        (("password='hidden-pw'", "auth='oauth'"), "oauth: is missing; auth = oauth needs it"),
        (("password='hidden-pw'", "auth='oauth'\noauth=1"), "oauth: must be a table: [account.oauth]"),
        (
            ("password='hidden-pw'", "auth='oauth'\n[account.oauth]\nclient='x'"),
            "client: unknown; did you mean client_id?",
        ),
        (
            ("password='hidden-pw'", "auth='oauth'\n[account.oauth]\nprovider='google'"),
            "client_id: is missing; the grant authorization_code of the provider google needs it",
        ),
        (
            ("password='hidden-pw'", "auth='oauth'\n[account.oauth]\nclient_secret='hidden-pw'\nclient_secret_env='X'"),
            "client_secret_env and client_secret are set; keep one of them",
        ),
        (
            ("password='hidden-pw'", "auth='oauth'\n[account.oauth]\nclient_id='x'\ntoken_url='http://h/'"),
            "must look like https://host/path",
        ),
        (("[[account]]", "[[accounts]]"), "accounts: unknown; did you mean account?"),
        (("[[account]]", "[account]"), "expected one [[account]] table"),
        (("[[account]]", "interval=3\n[[account]]"), "interval: unknown"),
        (("'h'", "h"), "not valid TOML"),
    ],
)
def test_a_fault_is_told_with_file_table_and_key(
    environment: pytest.MonkeyPatch, change: tuple[str, str], said: str
) -> None:
    old, new = change
    text = TABLE.replace(old, new) if old else TABLE + new

    assert said in refusal(text)


def test_every_fault_is_told_at_once(environment: pytest.MonkeyPatch) -> None:
    said = refusal(TABLE + "port=0\nhots='x'\n" + TABLE.replace("'a'", "'b'").replace("'u'", "''") + TABLE)

    for fault in ("1 (a): port", "1 (a): hots: unknown; did you mean host?", "2 (b): user"):
        assert f"[[account]] {fault}" in said


def test_names_must_differ(environment: pytest.MonkeyPatch) -> None:
    assert "[[account]] 2 (a): name: account names must differ" in refusal(TABLE + TABLE)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "account = []\n"])
def test_a_file_without_an_account_is_a_fault(environment: pytest.MonkeyPatch, text: str) -> None:
    assert "expected one [[account]] table" in refusal(text)


def test_a_file_that_is_not_there_is_named(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"ACCOUNTS_FILE accounts\.toml: cannot be read"):
        load_settings()


def test_who_opens_no_mailbox_reads_no_accounts(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings(accounts=False)

    assert settings.accounts == ()
    assert settings.imap_configured, "the syncer has them"


def test_an_empty_password_file_is_a_fault(environment: pytest.MonkeyPatch) -> None:
    Path("pw").write_text("\n")

    assert "password_file: pw is empty" in refusal(TABLE.replace("password='hidden-pw'", "password_file='pw'"))


def test_passwords_that_everybody_may_read_are_a_warning(environment: pytest.MonkeyPatch) -> None:
    path = write(TABLE)
    assert load_settings().warnings == ()

    path.chmod(0o644)
    (warning,) = load_settings().warnings
    assert "mode 0644" in warning
    assert "hidden-pw" not in warning

    environment.setenv("PW", "x")
    path.write_text(TABLE.replace("password='hidden-pw'", "password_env='PW'"))
    assert load_settings().warnings == (), "without a password in it, it is no secret"


def test_the_example_is_a_file_without_faults(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "accounts.toml").read_text()
    (tmp_path / "pw").write_text("secret\n")
    copy = tmp_path / "accounts.toml"
    copy.write_text(re.sub(r'"/run/secrets/\w+"', f'"{tmp_path / "pw"}"', text))

    found = read_accounts(copy, {"SUPPORT_PASSWORD": "secret"})

    assert [account.name for account in found.accounts] == ["billing", "support", "orders", "info", "archive"]
    assert found.warnings == ()
    assert {key for table in tomllib.loads(text)["account"] for key in table} >= KEYS - {"password", "use_ssl"}


def test_the_document_has_every_key_with_its_default() -> None:
    text = (ROOT / "docs" / "accounts.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) ?\| .* \|$", text, re.MULTILINE))

    assert rows.keys() == KEYS
    for key in KEYS - set(PASSWORD_KEYS):
        field = Account.model_fields[key]
        if field.is_required() or field.default in (None, ""):
            assert rows[key] == ""
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert tomllib.loads(f"x = {rows[key]}")["x"] == default, key


names = st.text("abcd", min_size=1, max_size=1)
accounts = st.dictionaries(names, st.sampled_from(["one", "two"])).map(
    lambda found: [
        Account(name=name, host="h", user="u", password=SecretStr(password)) for name, password in found.items()
    ]
)


@given(accounts, accounts)
def test_a_change_applied_gives_the_new_accounts_and_touches_no_other(old: list[Account], new: list[Account]) -> None:
    found = change(old, new)
    before, after = {one.name: one for one in old}, {one.name: one for one in new}

    untouched = before.keys() - set(found.removed) - set(found.changed)
    assert untouched | set(found.added) | set(found.changed) == after.keys()
    assert all(before[name] == after[name] for name in untouched)
    assert not (set(found.added) | set(found.removed)) & set(found.changed)
    assert change(new, new) == change([], [])
