"""What the fork server is told to import."""

from __future__ import annotations

import importlib.util

import pytest

from cli.main import root
from supervisor import plan
from supervisor.fork_server import MAIN, Command

COMMANDS = [command for command in vars(plan).values() if isinstance(command, Command)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.arguments[0])
def test_each_command_exists_and_so_does_its_module(command: Command) -> None:
    assert command.arguments[0] in root.commands
    assert importlib.util.find_spec(command.module) is not None


def test_it_is_the_same_program_when_it_is_executed() -> None:
    assert importlib.util.find_spec(MAIN) is not None
    assert len(COMMANDS) == 6
    assert all(command.program()[1:3] == ["-m", MAIN] for command in COMMANDS)
