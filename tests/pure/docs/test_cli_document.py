"""docs/cli.md has every command, with every argument and option, and its exit codes, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import exit_code
from cli.main import root as mozzart

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text()


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Those that people are told of, by their words."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))
    elif not command.hidden:
        yield " ".join(path), command


COMMANDS = dict(commands(mozzart))
SECTIONS = dict(re.findall(r"^### `mozzart ([^`]+)`\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))


def names(parameter: click.Parameter) -> set[str]:
    if isinstance(parameter, click.Argument):
        return {(parameter.metavar or parameter.human_readable_name).upper()}
    return {*parameter.opts, *parameter.secondary_opts}


def test_every_command_has_its_section_and_nothing_else_has() -> None:
    assert SECTIONS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_in_the_table(name: str) -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| [^|\s]", SECTIONS[name], re.MULTILINE)
    documented = {found for row in rows for found in re.findall(r"`([^`]+)`", row)}

    assert documented == {one for parameter in COMMANDS[name].params for one in names(parameter)}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_default_of_each_option_is_the_documented_one(name: str) -> None:
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option) and option.show_default and isinstance(option.default, int | float | str):
            default = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
            (row,) = re.findall(rf"^\| `{option.opts[0]}` \| (.*) \|$", SECTIONS[name], re.MULTILINE)
            assert re.search(rf"(\(`?|instead of `){re.escape(default)}`?", row), f"{option.opts[0]}: {default}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_choices_of_each_option_are_the_documented_ones(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter.type, click.Choice):
            rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", SECTIONS[name], re.MULTILINE)
            (text,) = [text for option, text in rows if option in names(parameter)]
            assert set(re.findall(r"`([^`]+)`", text)) == set(parameter.type.choices)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_exit_codes_of_each_command_are_the_documented_ones(name: str) -> None:
    (line,) = re.findall(r"^Exit codes: (.*)\.$", SECTIONS[name], re.MULTILINE)
    codes = [int(code) for code in re.findall(r"\d+", re.sub(r"\([^)]*\)", "", line))]

    assert codes == list(exit_code.OF[name])
    assert set(codes) <= exit_code.MEANING.keys()


def test_no_other_command_has_exit_codes() -> None:
    assert exit_code.OF.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_explains_itself(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts
    assert COMMANDS[name].help
