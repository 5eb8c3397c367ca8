"""`mozzart demo` and its children as click has them."""

from __future__ import annotations

from pathlib import Path

import click

from cli.process import run_asyncio, settings


@click.command(short_help="See it work, without credentials.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the demo's data here.")
@click.option("--every", type=click.FloatRange(min=0.05), default=3.0, show_default=True, help="Seconds between mails.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many mails (default: until Ctrl-C).")
@click.option("--api-port", type=click.IntRange(0, 65535), help="Port of the HTTP api (default: 8000, or a free one).")
def demo(data_dir: Path | None, every: float, count: int | None, api_port: int | None) -> int:
    """See it work, without credentials: mail arrives in an embedded IMAP server, each one's way is shown."""
    from cli.demo.run import run

    return run(data_dir=data_dir, every=every, count=count, api_port=api_port)


@click.command(hidden=True)
@click.option("--every", type=float, required=True)
@click.option("--count", type=int)
def demo_story(every: float, count: int | None) -> int:
    """A child of `demo`: deliver mail and tell its way."""
    from cli.demo.story import tell

    return run_asyncio(tell(settings("demo", nats=True, accounts=True), every=every, count=count))


@click.command(hidden=True)
@click.option("--port", type=int, required=True)
def demo_imap(port: int) -> int:
    """A child of `demo`: the embedded IMAP server."""
    from cli.demo.imap import serve

    return run_asyncio(serve(settings("imap", accounts=True), port))
