"""`mozzart accounts` as click has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cli.process import run_asyncio, settings

if TYPE_CHECKING:
    from mailcore.discovery.decision import Found


@click.group(short_help="The accounts: list, add, test, pause, remove.")
def accounts() -> None:
    """The accounts that are synced. Those of IMAP_* and ACCOUNTS_FILE are changed there; these commands change those of
    the database, and reach a running syncer at once."""


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_accounts(as_json: bool) -> int:
    """All of them, with where they come from and how they are."""
    from cli.accounts.run import show_all

    return run_asyncio(show_all(settings("accounts", quiet=True, accounts=True), as_json=as_json))


@accounts.command(short_help="Add one, after a test of it.")
@click.argument("user")
@click.option("--name", help="What it is called, for ever; the USER unless told otherwise.")
@click.option("--host", help="The IMAP server.")
@click.option("--tls", type=click.Choice(("tls", "starttls", "none")), help="From the start, by STARTTLS, or none.")
@click.option("--port", type=click.IntRange(1, 65535), help="993 with TLS from the start, else 143.")
@click.option("--mailboxes", default="INBOX", show_default=True, help="Names and patterns, separated by commas.")
@click.option("--backfill", default="all", show_default=True, help="`all`, `none`, or a number of days.")
@click.option("--connections", type=click.IntRange(min=3), help="The most that are open at once.")
@click.option("--daily-mb", type=click.IntRange(min=0), help="The most that a backfill fetches in a day; 0: no bound.")
@click.option("--ca-file", type=click.Path(dir_okay=False), help="PEM file of the authority of its certificate.")
@click.option("--no-test", is_flag=True, help="Add it untried.")
@click.option("--yes", is_flag=True, help="Take the server that is found without asking.")
@click.option("--client-id", help="Of an application at Google or Microsoft: sign in there instead of a password.")
@click.option("--tenant", default="", help="Of Microsoft, with --client-id.")
def add(
    user: str,
    name: str | None,
    host: str | None,
    tls: str | None,
    port: int | None,
    mailboxes: str,
    backfill: str,
    connections: int | None,
    daily_mb: int | None,
    ca_file: str | None,
    no_test: bool,
    yes: bool,
    client_id: str | None,
    tenant: str,
) -> int:
    """Add the account of USER, which is an address at most servers. Its server is found by what is known of providers,
    by DNS and by Mozilla's autoconfig, and shown before it is used. What is not found is asked for; the password is
    asked for, or read as a line of standard input."""
    asking = sys.stdin.isatty()
    way = "password"
    if host is None and (found := _discovered(user, asking=asking, yes=yes)) is not None:
        way = found.way
        host, user, name = found.host, found.user, name or user
        tls, port = tls or found.tls, port or found.port
    if host is None:
        if not asking:
            raise click.UsageError("--host is missing.")
        host = click.prompt("IMAP server", err=True)
    if tls is None:
        ways = click.Choice(("tls", "starttls", "none"))
        tls = click.prompt("Encryption", default="tls", type=ways, err=True) if asking else "tls"
    if port is None and asking:
        port = click.prompt("Port", default=993 if tls == "tls" else 143, type=click.IntRange(1, 65535), err=True)
    from cli.accounts.run import add as run

    values = {
        "host": host,
        "user": user,
        "use_ssl": tls == "tls",
        "starttls": tls == "starttls",
        "mailboxes": mailboxes,
        "backfill": backfill,
        **_credentials(way, client_id, tenant, asking=asking),
        **{key: value for key, value in (("port", port), ("connections", connections), ("ca_file", ca_file)) if value},
        **({} if daily_mb is None else {"daily_mb": daily_mb}),
    }
    known = settings("accounts", quiet=True, accounts=True)
    # Before somebody has signed in there is nothing to test, and signing in tries the login.
    code = run_asyncio(run(known, name or user, values, tested=not no_test and client_id is None))
    if code or client_id is None:
        return code
    from cli.accounts.authorize import run as sign_in

    return run_asyncio(sign_in(known, name or user))


@accounts.command(short_help="Log in to one, step by step.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def test(name: str, as_json: bool) -> int:
    """Log in to the account NAME beside whatever is open: each step with its time and words."""
    from cli.accounts.run import test as run

    return run_asyncio(run(settings("accounts", quiet=True, accounts=True), name, as_json=as_json))


@accounts.command(short_help="Log out of one until it is resumed.")
@click.argument("name")
def pause(name: str) -> int:
    """Log out of the account NAME until it is resumed; its mail stays, and what comes meanwhile is fetched then."""
    from cli.accounts.run import pause as run

    return run_asyncio(run(settings("accounts", quiet=True), name, paused=True))


@accounts.command()
@click.argument("name")
def resume(name: str) -> int:
    """Sync the account NAME again."""
    from cli.accounts.run import pause as run

    return run_asyncio(run(settings("accounts", quiet=True), name, paused=False))


@accounts.command(short_help="Forget one and its secrets; keep or delete its mail.")
@click.argument("name")
@click.option("--mail", type=click.Choice(("keep", "delete")), help="What becomes of its mail; asked for, else kept.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, mail: str | None, yes: bool) -> int:
    """Forget the account NAME and its secrets. What is stored of it stays, and added again by the same name it goes on
    from there; or it is deleted for good, with all files. On the server everything stays."""
    from cli.accounts.run import remove as run

    if mail is None and not yes:
        choice = click.Choice(("keep", "delete"))
        mail = click.prompt("What becomes of its mail?", type=choice, default="keep", err=True)
    deletes_mail = mail == "delete"
    if not yes:
        mail_words = "delete its mail for good" if deletes_mail else "keep its mail"
        click.confirm(f"Remove the account {name} and {mail_words}?", abort=True, err=True)
    return run_asyncio(run(settings("accounts", quiet=True, accounts=deletes_mail), name, deletes_mail=deletes_mail))


@accounts.command("rotate-key")
def rotate_key() -> int:
    """Encrypt the secrets of all accounts under a new key: of DATA_DIR/secret.key, or the first one of SECRET_KEY."""
    from cli.accounts.rotation import rotate

    return run_asyncio(rotate(settings("accounts", quiet=True)))


def _discovered(address: str, *, asking: bool, yes: bool) -> Found | None:
    """The server of an address, if a person agrees."""
    from mailcore.discovery.lookup import discover
    from mailcore.visible import one_line

    if "@" not in address:
        return None
    found = run_asyncio(discover(address))
    if found is None:
        click.echo(f"Nobody knows the IMAP server of {one_line(address)}.", err=True)
        return None
    way = {"tls": "TLS", "starttls": "STARTTLS"}[found.tls]
    click.echo(f"{found.host}:{found.port} ({way}), user {one_line(found.user)}: {one_line(found.source)}.", err=True)
    if found.way != "password":
        provider = found.preset.name if found.preset is not None else ""
        click.echo(f"{provider} wants a sign-in instead of a password: docs/providers.md says how.", err=True)
    if yes or (asking and click.confirm("Use it?", default=True, err=True)):
        return found
    return None


def _credentials(way: str, client_id: str | None, tenant: str, *, asking: bool) -> dict[str, Any]:
    """What of the account's settings is about logging in."""
    if client_id is None:
        return {"password": _secret("Password")}
    if way == "password":
        raise click.UsageError("--client-id is for Google and Microsoft; others are set up in ACCOUNTS_FILE.")
    if asking:
        what = "Client secret (empty if it has none)"
        secret = click.prompt(what, hide_input=True, default="", show_default=False, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    oauth = {"provider": way, "client_id": client_id, "client_secret": secret, "tenant": tenant}
    return {"auth": "oauth", "oauth": {key: value for key, value in oauth.items() if value}}


def _secret(what: str) -> str:
    """Never from the command line, where every user of the machine could read it."""
    if sys.stdin.isatty():
        secret: str = click.prompt(what, hide_input=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise click.UsageError(f"The {what.lower()} is empty: enter it, or write it to standard input.")
    return secret


@accounts.command(short_help="Sign in at an account's OAuth provider.")
@click.argument("name", default="default")
@click.option(
    "--port", type=click.IntRange(min=0, max=65535), default=0, help="Where the browser comes back to; 0: any."
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def authorize(name: str, port: int, no_browser: bool) -> int:
    """Sign in at the OAuth provider of account NAME, and try the login with what that brings.

    A browser comes back to this machine with a code (PKCE, RFC 8252). With OAUTH_GRANT=device_code the code is typed in
    a browser anywhere. Where nobody signs in (client_credentials, service_account), only the login is tried.
    """
    from cli.accounts.authorize import run

    return run_asyncio(run(settings("accounts", quiet=True, accounts=True), name, port=port, browser=not no_browser))
