"""What the motion table and the image table share."""

from collections.abc import Mapping, Sequence

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError
from dancing.metrics.bootstrap_cells import Row


def held_out(dataset: Dataset) -> list[Piece]:
    """Return the pieces of the test part.

    Raises:
        UserError: where there are none.
    """
    pieces = dataset.split("test")
    if not pieces:
        raise UserError(f"{dataset.path}: no test part; raise data.test or give longer clips")
    return pieces


def means(rows: Mapping[str, Row], metrics: Sequence[str], digits: int = 4) -> dict[str, dict[str, float]]:
    """Return the rounded means of some metrics, for `dvc metrics`.

    Args:
        rows: the table.
        metrics: the metrics wanted. A row without one of them, or with None as its mean, is returned without it.
        digits: after the decimal point.
    """
    return {
        name: {key: round(mean, digits) for key in metrics if key in row and (mean := row[key]["mean"]) is not None}
        for name, row in rows.items()
    }
