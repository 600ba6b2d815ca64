"""Presets: laid over params.yaml and taken back, with everything else in the file left alone."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from dancing import cli, presets
from dancing.params import ParamsError, load_params
from dancing.presets import (
    PresetError,
    apply_preset,
    find_preset,
    list_presets,
    overlay_preset,
    params_path,
    undo_preset,
    without_preset,
)

PRESETS = list_presets(ROOT)
IDS = [f"{preset.system}-{preset.name}" for preset in PRESETS]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's presets elsewhere, and its params files without the presets in force."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    for system in ("dance", "digits", "faces", "param_tanh"):
        target = params_path(tmp_path, system)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(without_preset(ROOT, system), encoding="utf-8")
    return tmp_path


def values(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def edit(path: Path, old: str, new: str) -> None:
    """Edit a file as a user would."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def preset(project: Path, text: str) -> presets.Preset:
    """A preset of the dance that a user has written."""
    (project / "presets/dance/mine.yaml").write_text(text, encoding="utf-8")
    return find_preset(project, "mine")


def test_there_are_presets_for_every_system():
    assert {preset.system for preset in PRESETS} == {"dance", "digits", "faces", "param_tanh"}


@pytest.mark.parametrize("one", PRESETS, ids=IDS)
def test_a_preset_holds_only_what_differs_and_says_what_it_is_for(one: presets.Preset):
    default, changes = yaml.safe_load(without_preset(ROOT, one.system)), values(one.path)
    for section, keys in changes.items():
        for key, value in keys.items():
            assert value != default[section][key], f"{section}.{key} is the default's"
    assert one.path.read_text(encoding="utf-8").startswith("# ")
    assert one.description.endswith(".")


@pytest.mark.parametrize("one", PRESETS, ids=IDS)
def test_a_preset_is_laid_over_and_taken_back(project: Path, one: presets.Preset):
    here = find_preset(project, f"{one.system}/{one.name}")
    before, default, changes = here.params.read_bytes(), values(here.params), values(here.path)
    told = apply_preset(here, project)
    assert load_params(here.params)
    assert set(told) == {f"{section}.{key}" for section, keys in changes.items() for key in keys}
    assert values(here.params) == {
        section: keys and {**keys, **changes.get(section, {})} for section, keys in default.items()
    }

    def comments(text: str) -> list[str]:
        return re.findall("#.*", text)

    after = here.params.read_text(encoding="utf-8")
    assert comments(after) == comments(before.decode())
    assert len(after.splitlines()) == len(before.decode().splitlines())
    assert apply_preset(here, project) == {}
    undo_preset(here, project)
    assert here.params.read_bytes() == before


def test_comments_keep_their_column(project: Path):
    apply_preset(find_preset(project, "smoke"), project)
    lines = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    for key in ("height", "n_mfcc", "steps_per_epoch"):
        assert next(line for line in lines if line.startswith(f"  {key}:")).index("#") == 26


def test_a_users_own_edits_are_kept(project: Path):
    params = project / "params.yaml"
    edit(params, "quality: 18             # x264's", "quality: 23   # smaller; x264's")
    edit(params, "  subject: null ", "  subject:\n   anna ")
    edit(params, "hidden: 64 ", "hidden: 80 ")
    apply_preset(find_preset(project, "smoke"), project)
    text = params.read_text(encoding="utf-8")
    assert "quality: 23   # smaller; x264's" in text
    assert "  subject:\n   anna " in text
    assert values(params)["vae"]["hidden"] == 16
    edit(params, "window: 16 ", "window: 24 ")  # a key of the preset, after it was laid over
    undo_preset(find_preset(project, "smoke"), project)
    kept = values(params)
    assert (kept["render"]["quality"], kept["gan"]["subject"]) == (23, "anna")
    assert (kept["vae"]["hidden"], kept["vae"]["window"]) == (80, 24)
    assert kept["vae"]["layers"] == 4


def test_presets_do_not_mix(project: Path):
    params = project / "params.yaml"
    apply_preset(find_preset(project, "mocap"), project)
    alone = params.read_bytes()
    undo_preset(find_preset(project, "mocap"), project)
    apply_preset(find_preset(project, "smoke"), project)
    apply_preset(find_preset(project, "mnist"), project)  # another system's
    apply_preset(find_preset(project, "mocap"), project)
    assert params.read_bytes() == alone
    with pytest.raises(PresetError, match=r"smoke is not in force on params\.yaml; `git checkout params\.yaml`"):
        undo_preset(find_preset(project, "smoke"), project)
    assert values(project / "pipelines/digits/params.yaml")["evaluate"]["samples"] == 5000


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("vae:\n  latent_dims: 8\n", ParamsError, "vae.latent_dims: unknown key; did you mean latent_dim?"),
        ("vea:\n  latent_dim: 8\n", ParamsError, "vea: unknown key; did you mean vae?"),
        ("vae:\n  latent_dim: many\n", ParamsError, "vae.latent_dim: expected integer, got 'many'"),
        ("vae:\n  kl_warmup: 50\n", ParamsError, "kl_warmup (50 epochs) is longer than the training"),
        ("vae: null\n", PresetError, "expected sections such as `data:`"),
        ("vae: 8\n", PresetError, "expected sections such as `data:`"),
        ("# nothing\n", PresetError, "expected sections such as `data:`"),
        ("vae: [\n", PresetError, "not readable as YAML"),
    ],
)
def test_a_bad_preset_is_refused_and_the_file_left_alone(project: Path, text: str, error: type, message: str):
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(error, match=re.escape(message)):
        apply_preset(preset(project, text), project)
    assert (project / "params.yaml").read_bytes() == before
    assert not list(project.glob(".*.partial"))


def test_a_params_file_that_cannot_be_read_is_told(project: Path):
    (project / "params.yaml").write_text("vae: [\n", encoding="utf-8")
    with pytest.raises(PresetError, match=r"^params\.yaml: not readable as YAML"):
        apply_preset(find_preset(project, "smoke"), project)


def test_an_unknown_or_ambiguous_name_lists_what_there_is(project: Path):
    with pytest.raises(PresetError, match=r"gpus: no such preset; there are dance/gpu, .*digits/mnist"):
        find_preset(project, "gpus")
    shutil.copy(project / "presets/digits/mnist.yaml", project / "presets/faces/mnist.yaml")
    with pytest.raises(PresetError, match="say which: digits/mnist, faces/mnist"):
        find_preset(project, "mnist")
    assert find_preset(project, "digits/mnist").system == "digits"


def test_values_are_replaced_in_any_layout_or_refused():
    params = without_preset(ROOT, "dance")
    changes = "gan:\n  betas: [0.0, 0.9]  # calmer\n  subject: anna\n"
    result = overlay_preset(params.replace("  subject: null ", "  subject: "), changes)
    assert yaml.safe_load(result)["gan"] == {**yaml.safe_load(params)["gan"], "betas": [0.0, 0.9], "subject": "anna"}
    assert "calmer" not in result
    assert overlay_preset(params.replace("\n", "\r\n"), changes).count("\r\n") == params.count("\n")
    block = params.replace("betas: [0.5, 0.999]     # Adam's decay rates\n", "betas:\n    - 0.5\n    - 0.999\n")
    with pytest.raises(PresetError, match=r"gan\.betas: write the value on one line"):
        overlay_preset(block, changes)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["dancing", "preset", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    assert ended.value.code == 0


def test_the_command_line(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(project / "pipelines/faces")  # found from any folder of the project
    run(monkeypatch)
    assert re.search(r"^faces/photos +Faces from some thousand photographs", capsys.readouterr().out, re.MULTILINE)
    run(monkeypatch, "photos")
    told = capsys.readouterr().out
    assert "pipelines/faces/params.yaml: preset photos" in told
    assert "data.images: ../../data/demo/heads -> ../../data/raw" in told
    assert "--undo photos" in told
    run(monkeypatch, "photos", "--undo")
    assert "taken back" in capsys.readouterr().out
    monkeypatch.chdir(project.parent)
    with pytest.raises(PresetError, match="run from the project's folder"):
        run(monkeypatch, "photos")
