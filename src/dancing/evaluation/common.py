"""What the motion table and the image table share."""

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError


def held_out(dataset: Dataset) -> list[Piece]:
    """Return the pieces of the test part.

    Raises:
        UserError: where there are none.
    """
    pieces = dataset.split("test")
    if not pieces:
        raise UserError(f"{dataset.path}: no test part; raise data.test or give longer clips")
    return pieces
