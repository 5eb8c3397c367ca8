"""`mozzart status` as click has it."""

from __future__ import annotations

import click

from cli.process import run_asyncio, settings


@click.command(short_help="What runs, what is connected, what is where.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="With --watch: seconds between."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each look.")
def status(watch: bool, every: float, as_json: bool) -> int:
    """What is running, what is connected, how many messages are where."""
    from cli.status.run import run

    found = settings("status", quiet=True)
    return run_asyncio(run(found, every=every if watch else None, as_json=as_json))
