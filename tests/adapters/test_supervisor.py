"""The supervisor and its fork server, with commands of ours that end by themselves."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from mailcore.errors import SettingsError
from mailcore.store import migration
from supervisor import children
from supervisor.children import Child, Supervisor
from supervisor.fork_server import AVAILABLE, Command, ForkServer, adopt_orphans
from supervisor.plan import UPGRADE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="only Linux has what the fork server needs")
VERSION = Command(("--version",), "cli.main")


@asynccontextmanager
async def supervising() -> AsyncIterator[Supervisor]:
    """With a fork server that is executed: a process with threads, as this one may be, does not fork."""
    adopt_orphans()
    try:
        with ForkServer(["cli.main"]) as forks:
            async with trio.open_nursery() as nursery:
                supervisor = Supervisor(nursery, forks)
                await supervisor.start(Child("fork-server", forks.command, inherit=(forks.descriptor,)))
                yield supervisor
                nursery.cancel_scope.cancel()
    finally:
        adopt_orphans(False)


async def eventually(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - another process has no event to set for us
            await trio.sleep(0.01)


@pytest.mark.trio
async def test_a_command_has_the_settings_of_its_directory_and_its_environment_and_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "output"
    async with supervising() as supervisor:
        monkeypatch.delenv("DATABASE_URL", raising=False)
        (tmp_path / ".env").write_text(f"DATABASE_URL=sqlite+aiosqlite:///{tmp_path}/of-its-directory.db\n")
        current = Command(("db", "current"), "cli.database")
        await supervisor.start(Child("upgrade", UPGRADE, directory=tmp_path, output=output, once=True))
        await supervisor.start(Child("first", current, directory=tmp_path, output=output, once=True))
        other = {"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/of-its-environment.db"}
        await supervisor.start(Child("second", current, other, directory=tmp_path, output=output, once=True))

    assert output.read_text().splitlines()[-2:] == [migration.newest(), "none"]
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.trio
async def test_a_command_that_only_a_person_can_help_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    output = tmp_path / "output"
    async with supervising() as supervisor:
        wrong = Child("upgrade", UPGRADE, {"DATABASE_URL": "mysql://x"}, directory=tmp_path, output=output, once=True)
        with pytest.raises(SettingsError, match=f"upgrade could not start; its own words are in {output}"):
            await supervisor.start(wrong)

    assert "DATABASE_URL" in output.read_text()


@pytest.mark.trio
async def test_a_child_that_never_worked_and_says_that_a_setting_is_wrong_is_told_also_after_the_start() -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, None)
        await supervisor.start(Child("api", lambda: [sys.executable, "-c", "raise SystemExit(78)"]))
        with trio.fail_after(20), pytest.raises(SettingsError, match="api could not start"):
            await supervisor.refused()
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_child_that_has_worked_is_started_again_whatever_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "HEALTHY_AFTER", 0.2)
    lives = tmp_path / "lives"
    lives.touch()
    program = (
        f"import time; file = open({str(lives)!r}, 'a+'); file.seek(0); first = not file.read()\n"
        "file.write('x'); file.flush(); first and time.sleep(0.4); raise SystemExit(78)"
    )
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, None)
        await supervisor.start(Child("api", lambda: [sys.executable, "-c", program]))
        with trio.move_on_after(20) as waiting:
            async with trio.open_nursery() as inner:
                inner.start_soon(supervisor.refused)
                await eventually(lambda: len(lives.read_text()) >= 3)
                inner.cancel_scope.cancel()
        assert not waiting.cancelled_caught
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_what_the_killed_fork_server_had_not_begun_the_next_one_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    async with supervising() as supervisor:
        await supervisor.start(Child("version", VERSION, output=output, once=True))  # it serves
        assert supervisor.send("fork-server", signal.SIGSTOP)
        again = Child("version again", VERSION, output=output, once=True)
        supervisor.begin(again)
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.send("fork-server", signal.SIGKILL)
        with trio.fail_after(20):
            await supervisor.settled(again)

    assert output.read_text().count("mozzart, version") == 2


@pytest.mark.trio
async def test_a_command_that_was_not_wanted_any_more_is_not_run(tmp_path: Path) -> None:
    output = tmp_path / "output"
    adopt_orphans()
    try:
        with ForkServer([]) as forks, output.open("w") as file:
            async with trio.open_nursery() as nursery:
                environment = dict(os.environ)
                forks.order(VERSION, environment, tmp_path, file.fileno(), file.fileno()).close()
                supervisor = Supervisor(nursery, forks)
                supervisor.begin(Child("fork-server", forks.command, inherit=(forks.descriptor,)))
                await supervisor.start(Child("version", VERSION, output=output, once=True))
                nursery.cancel_scope.cancel()
    finally:
        adopt_orphans(False)

    assert output.read_text().count("mozzart, version") == 1


@pytest.mark.trio
async def test_a_command_holds_nothing_open_but_its_own_output(tmp_path: Path) -> None:
    output = tmp_path / "output"
    adopt_orphans()
    try:
        with ForkServer([]) as forks, output.open("w") as file:
            async with trio.open_nursery() as nursery:
                supervisor = Supervisor(nursery, forks)
                supervisor.begin(Child("fork-server", forks.command, inherit=(forks.descriptor,)))
                with forks.order(VERSION, dict(os.environ), tmp_path, file.fileno(), file.fileno()) as answer:
                    await trio.lowlevel.wait_readable(answer)
                    pid = int(answer.recv(20))
                    # Not at work yet: it waits until we say so.
                    held = {file.path for file in psutil.Process(pid).open_files()}
                    assert held == {str(output)}
                    assert psutil.Process(pid).num_fds() == 4, "0, 1, 2, and by what it asks whether it is wanted"
                nursery.cancel_scope.cancel()
    finally:
        adopt_orphans(False)
