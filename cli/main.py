"""The `mozzart` command. Each command imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NoReturn

import click

from cli import exit_code
from cli.accounts.command import accounts
from cli.backup.command import backup, restore
from cli.dead_letters.command import dead_letters
from cli.demo.command import demo, demo_imap, demo_story
from cli.doctor.command import doctor
from cli.import_django.command import import_django
from cli.messages.command import messages
from cli.password import hash_password
from cli.process import run_asyncio as _asyncio
from cli.process import settings as _settings
from cli.status.command import status
from cli.timestamp import Start, Timestamp
from cli.tokens.command import tokens
from cli.verify.command import verify
from mailcore import collector
from mailcore.audit import ACTIONS
from mailcore.errors import BusError, Fault, MozzartError, SettingsError, StoreError

_TYPES: Final = (
    *("new", "backfill", "copy", "rebind", "stored", "expunged", "flags", "reset", "dead", "synced"),
    *("mailbox-created", "mailbox-renamed", "mailbox-deleted", "account"),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mozzart-mailbox-sync", prog_name="mozzart")
def root() -> None:
    """Mail out of IMAP mailboxes into NATS JetStream, a database and files: at once, completely, provably.

    Settings come from the environment and from .env in the working directory; docs/configuration.md lists them.
    New here? `mozzart demo` needs no settings at all.
    """
    os.umask(0o077)  # until the settings say otherwise


@root.command(short_help="Run everything on this machine until Ctrl-C.")
def up() -> int:
    """Run everything on this machine until Ctrl-C: nats-server, syncer, consumer, api."""
    from supervisor.plan import Plan, run

    return run(Plan(_settings("up", accounts=True)))


@root.command(hidden=True)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--profiles", envvar="COMPOSE_PROFILES", default="")
@click.option("--rotate", is_flag=True)
def hand_out_secrets(directory: Path, profiles: str, rotate: bool) -> int:
    """The first service of docker-compose.yml: give each role its secrets."""
    from cli.role_secrets import write_role_secrets

    write_role_secrets(_settings("secrets"), directory, profiles=profiles, rotate=rotate)
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
def verifier() -> int:
    """Run `verify` every VERIFY_INTERVAL seconds."""
    from cli.verify.verifier import run

    run(_settings("verifier", nats=True, accounts=True))
    return exit_code.OK


@root.command()
def api() -> int:
    """Run the HTTP api."""
    from api.main import run

    run(_settings("api", nats=True))
    return exit_code.OK


@root.command(short_help="Compare server and database once, now.")
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox (of the account given, or of the only one).")
def sync(account: str | None, mailbox: str | None) -> int:
    """Compare server and database once, now, and fetch what is missing; shows progress until it is stored."""
    from cli.sync import run

    return _asyncio(run(_settings("sync", quiet=True), account, mailbox))


@root.command()
@click.option("--account", help="Only this account.")
@click.option("--mailbox", help="Only this mailbox.")
@click.option("--type", "types", multiple=True, type=click.Choice(_TYPES), help="Only this type; may be repeated.")
@click.option("--subject", help="NATS subject filter, instead of those three.")
@click.option(
    "--since",
    type=Start(),
    help="Also older events: from a time on (`1h` ago, or ISO 8601), `all`, or the last so many of each stream.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(
    account: str | None,
    mailbox: str | None,
    types: tuple[str, ...],
    subject: str | None,
    since: datetime | Literal["all"] | int | None,
    count: int | None,
    as_json: bool,
) -> int:
    """Live events, one line each, until Ctrl-C."""
    from cli.tail import Filter, run
    from mailcore.bus.layout.subjects import filters_by_stream

    if subject is not None and (account is not None or mailbox is not None or types):
        raise click.UsageError("--subject says it all; leave --account, --mailbox and --type away.")
    wanted = Filter(account, mailbox, types, subject)
    if not filters_by_stream(wanted.subjects):
        raise click.UsageError(f"No stream of ours has subjects like {wanted.subjects!r}; docs/events.md names them.")
    found = _settings("tail", quiet=True, nats=True)
    return _asyncio(run(found, wanted=wanted, since=since, count=count, as_json=as_json))


@root.command("audit", short_help="Who did what here.")
@click.option("--action", type=click.Choice(ACTIONS), help="Only this.")
@click.option("--who", default="", help="Only what this user or token did, or `command line`.")
@click.option("--since", type=Timestamp(), help="Only from then on: `1h` ago, or a time (ISO 8601).")
@click.option("--count", type=click.IntRange(min=1), help="The last so many; 50, with --json all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit(action: str | None, who: str, since: datetime | None, count: int | None, as_json: bool) -> int:
    """Sign-ins, syncs by hand, redrives, changes of accounts and tokens: the newest first."""
    from cli.audit import run

    found = _settings("audit", quiet=True)
    return _asyncio(run(found, action=action or "", who=who, since=since, count=count, as_json=as_json))


@root.command(short_help="Empty what is older than MESSAGES_MAX_AGE.")
@click.option("--yes", "ordered", is_flag=True, help="Do not ask.")
def prune(ordered: bool) -> int:
    """Empty what was stored longer ago than MESSAGES_MAX_AGE, however much it is.

    Consumers do so by themselves; only when it would be all, or more than a tenth, they wait for this.
    """
    from cli.prune import run

    return _asyncio(run(_settings("prune", quiet=True), ordered=ordered))


@root.group()
def db() -> None:
    """The database's tables."""


@db.command(short_help="Create the tables, or bring them to this version.")
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for a database that is down.")
def upgrade(wait: float) -> int:
    """Create the tables, or bring them to this version; running processes go on meanwhile."""
    from cli.database import until_it_answers
    from cli.database import upgrade as run

    settings = _settings("db")
    return _asyncio(until_it_answers(lambda: run(settings), wait))


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


@root.command(short_help="Print a script for the completion of a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a script that makes the SHELL complete commands and options.

    \b
    bash: eval "$(mozzart completion bash)"     in ~/.bashrc
    zsh:  eval "$(mozzart completion zsh)"      in ~/.zshrc
    fish: mozzart completion fish | source      in ~/.config/fish/config.fish
    """
    from cli.completion import run

    return run(context.find_root().command, shell)


for command in (
    accounts,
    backup,
    dead_letters,
    demo,
    demo_imap,
    demo_story,
    doctor,
    hash_password,
    import_django,
    messages,
    restore,
    status,
    tokens,
    verify,
):
    root.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Never a traceback for what a person can mend; the exit codes are in cli/exit_code.py."""
    collector.collect_rarely()
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
    collector.freeze()
    sys.exit(code or exit_code.OK)


def _tell(error: MozzartError) -> int:
    from mailcore.log import strike_out
    from mailcore.visible import lines
    from supervisor.data_lock import AlreadyRunning

    click.secho(strike_out(lines(str(error))), fg="red", err=True)
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
