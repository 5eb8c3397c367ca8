"""The commands `backup` and `restore`: what they take and what they say."""

from __future__ import annotations

from pathlib import Path

import click

from cli import exit_code
from cli.process import settings

_PATH = click.Path(path_type=Path)
_SHOWN = 20


@click.command(short_help="Copy database and attachments while all runs.")
@click.argument("target", type=_PATH)
def backup(target: Path) -> int:
    """Copy database and attachments to TARGET while everything runs.

    TARGET is a new or empty directory, or a new file NAME.tar.
    """
    from cli.backup.create import take

    made = take(settings("backup", quiet=True), target)
    click.echo(f"{target}: {_facts(made.messages, made.files, made.bytes)}, as of {made.made_at:%Y-%m-%d %H:%M:%S}Z")
    if not made.lost:
        return exit_code.OK
    click.secho(
        f"{len(made.lost):,} files that rows name are missing or changed, so they are not in the backup "
        "(`mozzart verify` names what is wrong with each):",
        fg="red",
        err=True,
    )
    for file in made.lost[:_SHOWN]:
        click.echo(f"    {file!r}"[:300], err=True)
    return exit_code.PARTIAL


@click.command(short_help="Make an installation of a backup.")
@click.argument("source", type=_PATH)
@click.option("--check", "only_check", is_flag=True, help="Compare the checksums of the backup; change nothing.")
def restore(source: Path, only_check: bool) -> int:
    """Make an installation of the backup SOURCE; overwrites nothing, and nothing of ours may run.

    Start it afterwards: what came since the backup is on the server, where the sweep finds it.
    """
    from cli.backup.restore import check
    from cli.backup.restore import restore as run

    found = settings("restore", quiet=True)
    made = check(source) if only_check else run(found, source)
    done = "whole" if only_check else "restored; `mozzart up` fetches what came since"
    click.echo(
        f"{source}: {_facts(made.messages, made.files, made.bytes)}, as of {made.made_at:%Y-%m-%d %H:%M:%S}Z: {done}"
    )
    if made.lost:
        click.secho(
            f"{len(made.lost):,} files were missing or changed when the backup was made; their rows are there.",
            fg="yellow",
            err=True,
        )
    return exit_code.OK


def _facts(messages: int, files: int, octets: int) -> str:
    from cli.quantity import counted, size

    return f"{counted(messages, 'message')}, {counted(files, 'file')}, {size(octets)}"
