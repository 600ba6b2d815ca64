"""The one kind of error that is meant for people."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """A fault that the person at the keyboard can mend: the message names the file or key, what was expected and
    what to do. Stages print it without a traceback; everything else is a bug and keeps its traceback."""


def exit_on_user_error(main: Callable[[], None]) -> None:
    """Run a stage's ``main``; a `UserError` becomes its message on stderr and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
