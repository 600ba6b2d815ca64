"""What the tables of motion and of images share."""

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError


def held_out(dataset: Dataset) -> list[Piece]:
    """The test part. Raises UserError where there is none."""
    pieces = dataset.split("test")
    if not pieces:
        raise UserError(f"{dataset.path}: no test part; raise data.test or give longer clips")
    return pieces
