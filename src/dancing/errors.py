"""Errors that the user can fix, as opposed to bugs, and what a stage prints when it ends early."""

import errno
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType

_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: the quota is used up",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "write to another place",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
}


class UserError(ValueError):
    """An error that the user can fix: the message names the file or key, what was expected and what to do.

    Stages print it without a traceback. Any other exception is a bug and keeps its traceback, except those of the
    machine: no room on the disk, no permission, no memory.
    """


class TerminatedError(KeyboardInterrupt):
    """The process was asked to end by SIGTERM. It ends like one that Ctrl-C interrupts."""


def exit_on_user_error(main: Callable[[], None]) -> None:
    """Run the `main` of a stage, and end with one line on stderr instead of a traceback where the user can help.

    The exit status is 1 after an error, and 130 or 143 after Ctrl-C or SIGTERM.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as interruption:
        print("; ".join(["stopped", *getattr(interruption, "__notes__", [])]), file=sys.stderr)
        sys.exit(128 + (signal.SIGTERM if isinstance(interruption, TerminatedError) else signal.SIGINT))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|allocate memory", str(error)):
            raise  # torch has no error of its own for the memory of the CPU
        first = (str(error).splitlines() or ["MemoryError"])[0]
        sys.exit(f"error: out of memory ({first}); close other programs, or lower batch_size and image sizes")
    except OSError as error:
        if error.errno is None:  # not from the operating system
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror}; {_ADVICE.get(error.errno, 'check the path')}")


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise TerminatedError
