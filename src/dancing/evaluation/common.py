"""What the tables of motion and of pictures share."""

from collections.abc import Mapping, Sequence

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError
from dancing.metrics.bootstrap_cells import Row


def held_out(dataset: Dataset) -> list[Piece]:
    """The test part. Raises UserError where there is none."""
    pieces = dataset.split("test")
    if not pieces:
        raise UserError(f"{dataset.path}: no test part; raise data.test or give longer clips")
    return pieces


def means(rows: Mapping[str, Row], metrics: Sequence[str], digits: int = 4) -> dict[str, dict[str, float]]:
    """The means of these metrics alone, rounded, for `dvc metrics`; a row without such a value goes without it."""
    return {
        name: {key: round(row[key]["mean"], digits) for key in metrics if key in row and row[key]["mean"] is not None}
        for name, row in rows.items()
    }
