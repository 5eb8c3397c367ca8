"""The `mozzart` command. Each command imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from cli import exit_code, questions
from cli.backup.command import backup, restore
from cli.importing.command import import_django
from cli.password import hash_password
from cli.process import run_asyncio as _asyncio
from cli.process import settings as _settings
from mailcore import garbage
from mailcore.errors import BusError, Fault, MozzartError, SettingsError, StoreError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mozzart-mailbox-sync", prog_name="mozzart")
def root() -> None:
    """Mail out of IMAP mailboxes into NATS JetStream, a database and files: at once, completely, provably.

    Settings come from the environment and from .env in the working directory; docs/configuration.md lists them.
    New here? `mozzart demo` needs no settings at all.
    """


@root.command()
def up() -> int:
    """Run everything on this machine until Ctrl-C: nats-server, syncer, consumer, api."""
    from cli.up import Plan, run

    return run(Plan(_settings("up", accounts=True)))


@root.command()
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the demo's data here.")
@click.option("--every", type=click.FloatRange(min=0.05), default=3.0, show_default=True, help="Seconds between mails.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many mails (default: until Ctrl-C).")
@click.option("--api-port", type=click.IntRange(0, 65535), help="Port of the HTTP api (default: 8000, or a free one).")
def demo(data_dir: Path | None, every: float, count: int | None, api_port: int | None) -> int:
    """See it work, without credentials: mail arrives in an embedded IMAP server, each one's way is shown."""
    from cli.demo import run

    return run(data_dir=data_dir, every=every, count=count, api_port=api_port)


@root.command(hidden=True)
@click.option("--every", type=float, required=True)
@click.option("--count", type=int)
def demo_story(every: float, count: int | None) -> int:
    """A child of `demo`: deliver mail and tell its way."""
    from cli.demo_story import tell

    return _asyncio(tell(_settings("demo", nats=True, accounts=True), every=every, count=count))


@root.command(hidden=True)
@click.option("--port", type=int, required=True)
def demo_imap(port: int) -> int:
    """A child of `demo`: the embedded IMAP server."""
    from cli.demo_imap import serve

    return _asyncio(serve(_settings("imap", accounts=True), port))


@root.command(hidden=True)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--profiles", envvar="COMPOSE_PROFILES", default="")
@click.option("--rotate", is_flag=True)
def hand_out_secrets(directory: Path, profiles: str, rotate: bool) -> int:
    """The first service of docker-compose.yml: give each role its secrets."""
    from cli.handing_out import hand_out

    hand_out(_settings("secrets"), directory, profiles=profiles, rotate=rotate)
    return exit_code.OK


@root.command()
def syncer() -> int:
    """Run the syncer: IMAP to NATS."""
    from syncer.main import run

    run(_settings("syncer", nats=True, accounts=True))
    return exit_code.OK


@root.command()
def consumer() -> int:
    """Run one consumer: NATS to database and files. Several may run at once."""
    from consumers.main import run

    run(_settings("consumer", nats=True))
    return exit_code.OK


@root.command()
def webhook() -> int:
    """Send events to WEBHOOK_URL by HTTP."""
    from webhooks.main import run

    run(_settings("webhook", nats=True))
    return exit_code.OK


@root.command()
def api() -> int:
    """Run the HTTP api."""
    from api.main import run

    run(_settings("api", nats=True))
    return exit_code.OK


@root.command()
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox (of the account given, or of the only one).")
def sync(account: str | None, mailbox: str | None) -> int:
    """Compare server and database once, now, and fetch what is missing; shows progress until it is stored."""
    from cli.sync import run

    return _asyncio(run(_settings("sync", quiet=True), account, mailbox))


@root.group()
def db() -> None:
    """The database's tables."""


@db.command()
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for a database that is down.")
def upgrade(wait: float) -> int:
    """Create the tables, or bring them to this version; running processes go on meanwhile."""
    from cli.database import upgrade as run
    from cli.patience import patiently

    settings = _settings("db")
    return _asyncio(patiently(lambda: run(settings), wait))


@db.command()
def current() -> int:
    """Print the revision of the tables; `none` if there are none."""
    from cli.database import current as run

    return _asyncio(run(_settings("db", quiet=True)))


@db.command()
def check() -> int:
    """Can this version work with the tables? Changes nothing."""
    from cli.database import check as run

    return _asyncio(run(_settings("db", quiet=True)))


for command in (*questions.COMMANDS, backup, restore, hash_password, import_django):
    root.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Never a traceback for what a person can mend; the exit codes are in cli/exit_code.py."""
    garbage.seldom()
    try:
        code = root.main(args=arguments, prog_name="mozzart", standalone_mode=False)
    except click.exceptions.Abort:
        code = exit_code.INTERRUPTED
    except KeyboardInterrupt:
        code = exit_code.INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Fault:
        code = _confess()
    except MozzartError as error:
        code = _tell(error)
    except BrokenPipeError:
        # The reader of our output has gone (`mozzart tail | head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exit_code.OK
    except Exception:  # noqa: BLE001 - the last line of defence: no secret in a traceback, an exit code of its own
        code = _confess()
    garbage.settle()
    sys.exit(code or exit_code.OK)


def _tell(error: MozzartError) -> int:
    from cli.data_lock import AlreadyRunning
    from mailcore.log import strike_out

    click.secho(strike_out(str(error)), fg="red", err=True)
    if isinstance(error, SettingsError):
        return exit_code.CONFIG
    if isinstance(error, AlreadyRunning):
        return exit_code.RUNNING
    if isinstance(error, BusError | StoreError):
        return exit_code.UNAVAILABLE
    return exit_code.FAILED


def _confess() -> int:
    from mailcore.log import strike_out

    click.echo(strike_out(traceback.format_exc()), err=True)
    click.secho("This is a fault of mozzart itself; please report it with the lines above.", fg="red", err=True)
    return exit_code.SOFTWARE


if __name__ == "__main__":
    main()
