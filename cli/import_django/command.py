"""`mozzart import-django` as click has it."""

from __future__ import annotations

from pathlib import Path

import click

from cli.process import run_asyncio, settings


@click.command(short_help="Take over what a Django `mailbox_app` has stored.")
@click.option("--database-url", required=True, envvar="DJANGO_DATABASE_URL", help="The old database; it is only read.")
@click.option(
    "--media-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The old MEDIA_ROOT, if it is not ours: attachments are copied from there.",
)
@click.option("--account", default="default", show_default=True, help="The account that the mailboxes belong to.")
@click.option(
    "--uidvalidity",
    type=click.IntRange(1, 0xFFFFFFFF),
    help="The mailbox's UIDVALIDITY, if the old database does not know it.",
)
def import_django(database_url: str, media_root: Path | None, account: str, uidvalidity: int | None) -> int:
    """Take over what a Django `mailbox_app` has stored, so that no sweep announces it again.

    Nothing of ours may run meanwhile. It may be repeated; docs/django.md explains it.
    """
    from cli.import_django.run import run

    found = settings("import", quiet=True)
    return run_asyncio(
        run(found, database_url=database_url, media_root=media_root, account=account, uidvalidity=uidvalidity)
    )
