"""Clips -> a feature file a clip: sound, landmarks, quality report."""

from pathlib import Path

from dancing.errors import exit_on_user_error
from dancing.extraction import ExtractionSettings, extract_folder
from dancing.params import load_params
from dancing.tracking import cache_dir, stage_run

OUT = Path("data/features")


def main() -> None:
    params = load_params()
    with stage_run("extract_features", params) as run:
        settings = ExtractionSettings(**params.features.model_dump())
        extract_folder(Path(params.data.clips), OUT, settings, cache_dir() / "features")
        run.artifact(OUT / "report.json")


if __name__ == "__main__":
    exit_on_user_error(main)
