"""Records what the stage evaluate measured, for the documentation. Run as ``python -m docgen.record``.

docgen/measured/NAME.json holds the rounded means of a pipeline's tables, and the digest that dvc.lock has of the
reports they are from: a test compares it, so that the documentation's figures are those of the committed models.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from dancing.files import write_text
from dancing.metrics.bootstrap_cells import means
from docgen import ROOT

MEASURED = Path("docgen/measured")
#: Folder of each pipeline, and its tables.
PIPELINES = {
    "dance": (Path(), ("motion", "image")),
    **{name: (Path("pipelines", name), ("generated",)) for name in ("digits", "faces", "param_tanh")},
}


def reports_digest(folder: Path) -> str:
    """Digest that the dvc.lock in a folder has of the reports of its stage evaluate."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return str(next(out["md5"] for out in lock["stages"]["evaluate"]["outs"] if out["path"] == "reports"))


def record(root: Path, name: str) -> dict[str, Any] | None:
    """What was measured of a pipeline; None where it was not evaluated here."""
    folder, tables = root / PIPELINES[name][0], PIPELINES[name][1]
    files = [folder / f"reports/{table}.json" for table in tables]
    if not all(file.is_file() for file in files):
        return None
    rows = {}
    for table, file in zip(tables, files, strict=True):
        content = json.loads(file.read_text(encoding="utf-8"))
        rows[table] = means(content, sorted({metric for row in content.values() for metric in row}))
    return {"reports": reports_digest(folder), "rows": rows if len(tables) > 1 else rows[tables[0]]}


def main() -> None:
    """Record all pipelines that were evaluated here."""
    for name in PIPELINES:
        if found := record(ROOT, name):
            write_text(ROOT / MEASURED / f"{name}.json", json.dumps(found, indent=1) + "\n")
            print(f"{MEASURED / name}.json: written")


if __name__ == "__main__":
    main()
