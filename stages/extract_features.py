"""Extract a feature file from each clip: audio features, landmarks, and a report of its quality."""

from pathlib import Path

from dancing.errors import UserError
from dancing.files import write_text
from dancing.params import load_dance_params
from dancing.tracking import cache_dir, stage_run
from stages import Made, launch

OUT = Path("data/features")


def main() -> Made:
    """Extract the features of all clips, and report which of them can't be used."""
    params = load_dance_params()
    from dancing.clips import build, report
    from dancing.clips.extraction import ExtractionSettings, extract_folder

    with stage_run("extract_features", params) as run:
        cache = cache_dir() / "features"
        reports = extract_folder(
            params.data.clips, OUT, ExtractionSettings.of(params.features), cache, scheduler=params.features.cluster
        )
        build.write_report(OUT, reports)
        write_text(OUT / "report.html", report.page(reports, OUT))
        for line in report.lines(reports):
            print(line)
        run.artifact(OUT / "report.json")
        run.artifact(OUT / "report.html")
        used = sum(r["used"] for r in reports)
        run.metrics({"clips_used": used, "clips_skipped": len(reports) - used})
        if not used:
            why = "is there: put clips into it"
            if reports:
                why = f"can be used; see the reasons above, or {OUT}/report.html"
            raise UserError(f"data.clips: nothing in {params.data.clips} {why}")
        return Made(f"{OUT}, {OUT}/report.html", f"{used} of {len(reports)} files used")


if __name__ == "__main__":
    launch(main)
