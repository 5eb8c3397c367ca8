"""`mozzart completion`: what makes a shell complete commands and options with the tabulator key."""

from __future__ import annotations

import sys
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from cli import exit_code

# click asks the program itself with this variable set; so a new command or option is completed without a new script.
VARIABLE: Final = "_MOZZART_COMPLETE"
_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
SHELLS: Final = tuple(_SHELLS)


def run(root: click.Command, shell: str) -> int:
    """Print the script of `shell`."""
    sys.stdout.write(_SHELLS[shell](root, {}, "mozzart", VARIABLE).source() + "\n")
    return exit_code.OK
