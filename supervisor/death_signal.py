"""The kernel kills a process when the one that started it is gone, however that one ended.

Also a plain script (`python -I -S death_signal.py PARENT COMMAND…`) that becomes COMMAND: it must start fast and so
imports nothing of ours. The death signal is Linux's (prctl(2), PR_SET_PDEATHSIG) and outlives execve(2); elsewhere the
command is only run.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """From now on; raises SystemExit when `parent`, our parent so far, is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the line above; then nobody will send the signal any more.
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    die_with(parent)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
