"""Check params.yaml before any other stage runs.

DVC removes a stage's outputs before it runs the stage. Without this check, one mistyped value would cost the outputs of
every stage that comes after it. All stages depend on the output, whose content never changes.
"""

from pathlib import Path

from dancing.errors import UserError
from dancing.files import write_text
from dancing.params import Params, load_params
from stages import launch

OUT = Path("data/params_checked.txt")


def main() -> None:
    """Check the values, and that the dancer is one of those who have clips."""
    params = load_params()
    if isinstance(params, Params):
        check_clips(Path(params.data.clips))
        if params.gan.model != "none":
            check_subject(Path(params.data.clips), params.gan.subject)
    write_text(OUT, "All values were valid.\n")


def check_clips(clips: Path) -> None:
    """Raise UserError if there is no file in data.clips."""
    if not any(path.is_file() and not path.name.startswith(".") for path in clips.rglob("*")):
        raise UserError(
            f"data.clips: {clips} is empty; put videos of a dancer with their music into it (docs/how-to/filming.md), "
            f"and see with `dancing check {clips}` which can be used"
        )


def check_subject(clips: Path, subject: str | None) -> None:
    """Raise UserError if `gan.subject` is no folder in data.clips; None and "" need none."""
    if subject and not (clips / subject).is_dir():
        folders = sorted(path.name for path in clips.iterdir() if path.is_dir())
        choices = ", ".join(folders) or "none: all clips are in no folder"
        raise UserError(f"gan.subject: no folder {subject} in data.clips ({clips}); the folders there: {choices}")


if __name__ == "__main__":
    launch(main)
