"""Build dataset.h5 from feature files and clips, or from images."""

import json
from dataclasses import asdict
from pathlib import Path

from dancing.files import write_text
from dancing.params import ImageParams, Params, load_params
from dancing.tracking import StageRun, stage_run
from stages import Made, launch

FEATURES, OUT, REPORT = Path("data/features"), Path("data/dataset.h5"), Path("data/report.json")


def main() -> Made:
    """Build the dataset of the system that params.yaml is for."""
    params = load_params()
    with stage_run("build_hdf5", params) as run:
        return build_images(params, run) if isinstance(params, ImageParams) else build_dance(params, run)


def build_dance(params: Params, run: StageRun) -> Made:
    """Write the audio features, poses and frames of all clips, and log the length of each part in seconds."""
    from dancing.clips.build import pieces
    from dancing.clips.dataset import open_dataset, write_dataset
    from dancing.h5 import SPLITS

    fps = params.features.fps
    shape = params.data.model_dump(include={"width", "height", "fit"})
    attributes = {"fps": fps, "n_mfcc": params.features.n_mfcc, **shape}
    write_dataset(OUT, attributes, pieces(FEATURES, params.data, fps))
    with open_dataset(OUT) as dataset:
        seconds = {split: sum(map(len, dataset.split(split))) / fps for split in SPLITS}
    run.metrics({f"{split}_seconds": length for split, length in seconds.items()})
    return Made(str(OUT), ", ".join(f"{split} {length:.0f} s" for split, length in seconds.items()))


def build_images(params: ImageParams, run: StageRun) -> Made:
    """Write the images of any source, and a report of the files that were skipped."""
    from dancing.h5 import SPLITS
    from dancing.noise_to_image.dataset import open_images, write_images
    from dancing.noise_to_image.sources import Report, read_images

    report = Report()
    attributes = params.data.model_dump(include={"height", "width", "channels", "fit"})
    try:
        write_images(OUT, attributes, read_images(Path(params.data.images), params.data, report))
    finally:  # also where too few images are left: the report says why
        print(report.summary())
        write_text(REPORT, json.dumps(asdict(report), indent=2) + "\n")
    run.artifact(REPORT)
    run.metrics({"pictures_used": report.used, "files_skipped": len(report.skipped)})
    with open_images(OUT) as dataset:
        counts = {split: dataset.count(split) for split in SPLITS}
    run.metrics({f"{split}_pictures": count for split, count in counts.items()})
    return Made(str(OUT), ", ".join(f"{split} {count} images" for split, count in counts.items()))


if __name__ == "__main__":
    launch(main)
