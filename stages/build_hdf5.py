"""Feature files and clips -> dataset.h5."""

from pathlib import Path

from dancing import build
from dancing.errors import exit_on_user_error
from dancing.hdf5 import SPLITS, open_dataset, write_dataset
from dancing.params import load_params
from dancing.tracking import stage_run

FEATURES, OUT = Path("data/features"), Path("data/dataset.h5")


def main() -> None:
    params = load_params()
    fps = params.features.fps
    with stage_run("build_hdf5", params) as run:
        shape = params.data.model_dump(include={"width", "height", "fit"})
        attributes = {"fps": fps, "n_mfcc": params.features.n_mfcc, **shape}
        write_dataset(OUT, attributes, build.pieces(FEATURES, params.data, fps))
        with open_dataset(OUT) as dataset:
            for split in SPLITS:
                run.metrics({f"{split}_seconds": sum(map(len, dataset.split(split))) / fps})


if __name__ == "__main__":
    exit_on_user_error(main)
