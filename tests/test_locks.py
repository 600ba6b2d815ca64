"""DVC is told what a stage uses, and nothing else: no change that matters is missed, none reruns a stage in vain.

Twice: by the imports in the code, and by what runs of the stages really import and read.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from imports import ROOT, closure, direct_imports
from PIL import Image

PIPELINES = {
    "dance": ROOT / "dvc.yaml",
    **{path.parent.name: path for path in sorted(ROOT.glob("pipelines/*/dvc.yaml"))},
}
#: Files that can't change what a stage makes: params.py checks values that DVC compares itself, errors.py words
#: messages, the others log to MLflow.
EXEMPT = {ROOT / "src/dancing" / name for name in ("params.py", "errors.py", "tracking.py", "mlflow_store.py")}
EXEMPT |= set((ROOT / "src/dancing/served").glob("*.py"))
DANCE_ONLY = frozenset(
    {"build_dance", "train_dance", "evaluate_dance", "_evaluate_images", "_write_dance_report", "render_dance"}
)
IMAGES_ONLY = frozenset({"build_images", "train_images", "evaluate_generated_images", "render_walk"})
STAGES = [
    (pipeline, stage)
    for pipeline, path in PIPELINES.items()
    for stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
]


def declared(pipeline: str, stage: str) -> dict[str, set[Path]]:
    """Each dependency in the project's code, with the files that it stands for."""
    path = PIPELINES[pipeline]
    deps = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"][stage]["deps"]
    paths = {dep: (path.parent / dep).resolve() for dep in deps if "$" not in dep}
    code = {dep: place for dep, place in paths.items() if place.is_relative_to(ROOT / "src")}
    return {dep: set(place.rglob("*.py")) if place.is_dir() else {place} for dep, place in code.items()}


def needed(pipeline: str, stage: str) -> set[Path]:
    without = IMAGES_ONLY if pipeline == "dance" else DANCE_ONLY
    checks = {ROOT / "src/dancing/params.py"} if stage == "check_params" else set()
    return closure(ROOT / f"stages/{stage}.py", without) - EXEMPT | checks


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_every_import_is_a_dependency_and_no_dependency_is_idle(pipeline: str, stage: str):
    told, used = declared(pipeline, stage), needed(pipeline, stage)
    missing = used - set().union(*told.values())
    assert not missing, f"{PIPELINES[pipeline]}: {stage} lacks {sorted(str(p.relative_to(ROOT)) for p in missing)}"
    idle = [dep for dep, files in told.items() if not files & used]
    assert not idle, f"{PIPELINES[pipeline]}: {stage} doesn't use {idle}"
    script = (ROOT / f"stages/{stage}.py").resolve()
    deps = yaml.safe_load(PIPELINES[pipeline].read_text(encoding="utf-8"))["stages"][stage]["deps"]
    assert script in {(PIPELINES[pipeline].parent / dep).resolve() for dep in deps}


def test_the_demo_s_data_depends_on_what_draws_it():
    stages = yaml.safe_load((ROOT / "data/demo/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in ("clips", "songs"):
        told = {ROOT / dep for dep in stages[stage]["deps"] if dep.startswith("src/")}
        assert told == closure(ROOT / "data/demo/make.py", frozenset()) - EXEMPT


def test_values_are_checked_before_any_output_is_removed():
    for pipeline, path in PIPELINES.items():
        for stage, told in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].items():
            assert stage == "check_params" or "data/params_checked.txt" in told["deps"], (pipeline, stage)


def test_the_gan_s_code_does_not_train_the_vae():
    told = set().union(*declared("dance", "train_vae").values())
    assert not [path for path in told if "pose_to_image" in path.parts or "noise_to_image" in path.parts]


def test_image_systems_share_one_pipeline():
    template = (ROOT / "pipelines/image_system.yaml").read_text(encoding="utf-8")
    for path in ROOT.glob("pipelines/*/dvc.yaml"):
        assert path.read_text(encoding="utf-8") == template, f"cp pipelines/image_system.yaml {path.relative_to(ROOT)}"


def test_packages_hold_nothing_but_their_docstring():
    for path in (ROOT / "src").rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) <= 1, f"{path}: code in a package's __init__ would be nobody's dependency"


def test_imports_go_one_way():
    """No system's folder imports another's, training/ knows none of them, and no two folders import each other."""
    systems = {"music_to_pose", "pose_to_image", "noise_to_image"}
    arrows: dict[str, set[str]] = {}
    for path in (ROOT / "src/dancing").rglob("*/*.py"):
        arrows.setdefault(path.parent.name, set()).update(file.parent.name for file in direct_imports(path))
    for system in systems:
        assert not arrows[system] & (systems - {system}), f"{system} imports {arrows[system] & systems}"
    assert not arrows["training"] & (systems | {"clips", "features", "evaluation", "render"})
    for folder, targets in arrows.items():
        for target in targets - {folder}:
            assert folder not in arrows.get(target, set()), f"{folder} and {target} import each other"


# ---------------------------------------------------------------------------------------------- what really happens


def check_trace(pipeline: str, stage: str, record: dict[str, list[str]], checkout: Path) -> None:
    """Raise AssertionError where a stage imported a file, or read a key, that DVC is not told of."""
    files = {ROOT / Path(file).relative_to(checkout) for file in record["files"]}
    files = {path for path in files if path.name != "__init__.py"} - EXEMPT
    unknown = files - set().union(*declared(pipeline, stage).values())
    if stage == "check_params":  # checks all values as they are read, and uses none
        return
    assert not unknown, f"{pipeline}/{stage} imported {sorted(map(str, unknown))}, which DVC is not told of"
    told = yaml.safe_load(PIPELINES[pipeline].read_text(encoding="utf-8"))["stages"][stage]
    params = {*told["params"], "mlflow", "features.cluster"}  # the experiment's name and the machine change no result
    params |= {dep.strip("${}") for dep in told["deps"] if dep.startswith("$")}  # a path, and DVC follows its content
    unknown = {key for key in record["params"] if not {key, key.partition(".")[0]} & params}
    assert not unknown, f"{pipeline}/{stage} read {sorted(unknown)}, which DVC is not told of"
    idle = [
        key for key in told["params"] if not any(read == key or read.startswith(f"{key}.") for read in record["params"])
    ]
    assert set(idle) <= SOMETIMES.get((pipeline, stage), set()), f"{pipeline}/{stage} doesn't read {idle}"


#: Keys that a stage reads with some params only: the layout "comparison" shows the clip itself.
SOMETIMES = {("dance", "render"): {"data.clips", "data.fit"}}
TINY = {
    "data": {"val": 0.2, "test": 0.2},
    "vae": {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "kl_warmup": 0},
    "gan": {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4},
    "evaluate": {"samples": 20, "feature_steps": 2},
    "render": {"seconds": 0.4, "walks": 2, "height": 64},
}


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", [name for name in PIPELINES if name != "dance"])
def test_stages_of_image_systems_use_what_dvc_is_told(pipeline: str, tmp_path: Path):
    values = yaml.safe_load((PIPELINES[pipeline].parent / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in TINY.items():
        if values[section] is not None:
            values[section] |= changes
    height, width = values["data"]["height"], values["data"]["width"]
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(1)
    for k in range(120):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"images/{k}.png")
    values["data"]["images"] = str(tmp_path / "images")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "tests/stage_trace"), str(ROOT)])
    env = os.environ | {"PYTHONPATH": path, "STAGE_TRACE": str(tmp_path), "DVC_ROOT": str(tmp_path)}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for stage in yaml.safe_load(PIPELINES[pipeline].read_text(encoding="utf-8"))["stages"]:
        command = [sys.executable, "-m", f"stages.{stage}"]
        result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        check_trace(pipeline, stage, json.loads((tmp_path / f"{stage}.json").read_text(encoding="utf-8")), ROOT)
