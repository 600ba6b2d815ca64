"""The examples of CONTRIBUTING.md, applied to a copy of the project and run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, kind: str) -> list[str]:
    """The contents of a section's fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", section(title), flags=re.M | re.S)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("src", "stages", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def insert(path: Path, text: str, *anchors: str) -> None:
    """Insert text after the line that ends with the last anchor; each anchor is looked for after the one before."""
    content, end = path.read_text(encoding="utf-8"), 0
    for anchor in anchors:
        end = content.index(anchor, end) + len(anchor)
    path.write_text(content[:end] + text + content[end:], encoding="utf-8")


def python(copy: Path, code: str) -> None:
    program = f"import sys; sys.path[:0] = [{str(copy / 'src')!r}, {str(ROOT / 'tests')!r}]\n{code}"
    result = subprocess.run([sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_motion_metric(copy: Path):
    function, line_of_import, entry = blocks("A motion metric", "python")
    metrics = copy / "src/dancing/metrics"
    body = (metrics / "body.py").read_text(encoding="utf-8")
    (metrics / "body.py").write_text(f"{body}\n\n{function}", encoding="utf-8")
    insert(metrics / "table.py", line_of_import, "import numpy as np\n")
    insert(metrics / "table.py", entry, "BODY: dict[str, Score] = {\n")
    python(
        copy,
        """
import numpy as np
from conftest import dance
from dancing.metrics.motion import prepare
from dancing.metrics.table import BODY, METRICS, Reference, scores_of
motions = [prepare(dance(90), np.ones((90, 33)), 30, 100, 100) for _ in range(2)]
reference = Reference.of(motions, ["a", "b"], motions, ["c", "d"], 1)
assert "travel" in METRICS
assert 0 < scores_of(motions[0], reference, BODY)["travel"] < 10
""",
    )


def test_a_generator(copy: Path):
    models, line_of_import, entry = blocks("A generator for `gan.model`", "python")
    folder = copy / "src/dancing/pose_to_image"
    (folder / "linear_gan.py").write_text(models, encoding="utf-8")
    insert(folder / "models.py", line_of_import, '"""\n')
    insert(folder / "models.py", entry, "MODELS = Registry(\n    {\n")
    insert(copy / "src/dancing/params.py", '"linear", ', "class Gan(GanTraining):", "model: Literal[")
    python(
        copy,
        """
import torch, yaml
from pathlib import Path
from conftest import filmed, make_piece
from dancing.clips.dataset import open_dataset, write_dataset
from dancing.params import parse_params
from dancing.pose_to_image.inference import PoseToImage
from dancing.pose_to_image.task import build_task
from dancing.training.checkpoints import ResumeStates
from dancing.training.compute import Compute
from dancing.training.gan_loop import train_gan
values = yaml.safe_load(Path("params.yaml").read_text())
values["gan"] |= {"model": "linear", "epochs": 1, "steps_per_epoch": 2, "batch_size": 2}
gan = parse_params(values).gan
pieces = [make_piece(name, name, 8, seed) for seed, name in enumerate(("train", "val", "test"))]
attributes = {"fps": 30, "width": 32, "height": 32, "fit": "crop", "n_mfcc": 4}
write_dataset("dataset.h5", attributes, [(piece, filmed(piece.landmarks, 32, 32)) for piece in pieces])
with open_dataset("dataset.h5") as dataset, ResumeStates(Path("resume")) as resume:
    train_gan(build_task(dataset, gan, Compute(torch.device("cpu"))), gan, Path("out"), resume.state("gan"))
    images = list(PoseToImage.load(Path("out/best.pt")).render(dataset.split("test")[0].landmarks))
assert len(images) == 8 and images[0].shape == (32, 32, 3)
""",
    )


def test_an_image_system(copy: Path):
    before = {path for path in copy.rglob("*") if path.is_file() or path.is_symlink()}
    subprocess.run(["bash", "-ec", blocks("An image system", "")[0]], cwd=copy, check=True)
    after = {path for path in copy.rglob("*") if path.is_file() or path.is_symlink()}
    assert {path.parent for path in after - before} == {copy / "pipelines/flowers"}
    assert not (copy / "pipelines/flowers/dvc.yaml").is_symlink()  # DVC can't follow links in git's history
    python(copy, "from dancing.params import load_params; assert load_params('pipelines/flowers/params.yaml').gan")
