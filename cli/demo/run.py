"""`mozzart demo`: `up` with an embedded IMAP server, and a story that delivers mail and tells each one's way."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from mailcore import log
from mailcore.settings import Settings
from supervisor import plan
from supervisor.children import Child
from supervisor.fork_server import Command
from supervisor.nats_server import write_private

USER: Final = "demo"
_API_PORT: Final = 8000


def run(*, data_dir: Path | None, every: float, count: int | None, api_port: int | None) -> int:
    """Returns the exit code. Without `data_dir` all lies in a temporary directory that is removed at the end."""
    directory = (data_dir or Path(tempfile.mkdtemp(prefix="mozzart-demo-"))).resolve()
    console = Console(highlight=False, emoji=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        port = _free_port(_API_PORT) if api_port is None else api_port
        _greet(console, directory, port, kept=data_dir is not None)
        code = _run(directory, every=every, count=count, api_port=port)
        console.print("[dim]Every process has ended.[/]")
        return code
    finally:
        if data_dir is None:
            shutil.rmtree(directory, ignore_errors=True)


def _run(directory: Path, *, every: float, count: int | None, api_port: int) -> int:
    imap_port = _free_port(0)
    environment = {
        "IMAP_HOST": "127.0.0.1",
        "IMAP_PORT": str(imap_port),
        "IMAP_USER": USER,
        "IMAP_PASSWORD": secrets.token_urlsafe(12),
        "IMAP_USE_SSL": "False",
        "API_PORT": str(api_port),
        "DATA_DIR": str(directory / "data"),
        "MEDIA_ROOT": str(directory / "media"),
    }
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ.update(environment)
    if not (directory / ".env").exists():  # so that every command works in there
        write_private(directory / ".env", "".join(f"{name}={value}\n" for name, value in environment.items()))
    # Nobody's .env: the demo does the same in any directory.
    settings = Settings(_env_file=None)
    # What goes well is the story's to tell.
    log.configure(settings.model_copy(update={"log_level": "WARNING"}), "demo")

    def ours(name: str, command: Command, *, to_terminal: bool = False, once: bool = False) -> Child:
        return Child(
            name=name,
            what=command,
            directory=directory,
            output=directory / "demo.log",
            keep_stdout=to_terminal,
            once=once,
        )

    imap = Command(("demo-imap", "--port", str(imap_port)), "cli.demo.imap")
    limit = () if count is None else ("--count", str(count))
    story = Command(("demo-story", "--every", str(every), *limit), "cli.demo.story")
    return plan.run(
        plan.Plan(
            settings,
            before=(ours("imap", imap),),
            finale=ours("story", story, to_terminal=True, once=True),
            directory=directory,
            output=directory / "demo.log",
        )
    )


def _greet(console: Console, directory: Path, api_port: int, *, kept: bool) -> None:
    command = "mozzart" if shutil.which("mozzart") else str(Path(sys.executable).with_name("mozzart"))
    console.print(
        "\n[bold]Mozzart Mailbox Sync · demo[/]\n\n"
        "An IMAP server, nats-server, SQLite and the pipeline between them start on this machine; nothing leaves it. "
        "[bold]Ctrl-C[/] ends everything.\n"
    )
    lines = (
        f"Everything lies in [bold]{escape(str(directory))}[/] ({'it stays' if kept else 'removed at the end'}).",
        f"The pages: http://127.0.0.1:{api_port}/admin/, user [bold]admin[/], password in "
        f"{escape(str(directory / 'data' / 'admin.password'))}",
        "",
        "[dim]In another terminal:[/]",
        f"  cd {escape(str(directory))}",
        f"  {escape(command)} status   [dim]or: tail, sync, doctor[/]",
        '  curl -X POST -H "Authorization: Bearer $(cat data/api.token)" \\',
        f"    'http://127.0.0.1:{api_port}/api/mailbox/sync/?wait=30'",
        "",
    )
    console.print("\n".join(lines), soft_wrap=True)


def _free_port(wanted: int) -> int:
    """`wanted` if nobody has it on 127.0.0.1, any free one otherwise."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
