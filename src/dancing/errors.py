"""Errors that the user can fix, as opposed to bugs."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """An error that the user can fix: the message names the file or key, what was expected and what to do.

    Stages print it without a traceback. Any other exception is a bug and keeps its traceback.
    """


def exit_on_user_error(main: Callable[[], None]) -> None:
    """Run the `main` of a stage. A `UserError` is printed on stderr, and the exit status is 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
