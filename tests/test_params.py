import copy
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dancing.params import ImageParams, Params, ParamsError, load_params, parse_params
from dancing.presets import without_preset

VALUES = yaml.safe_load(without_preset(ROOT, "dance"))


def changed(**changes: object) -> dict:
    values = copy.deepcopy(VALUES)
    for key, value in changes.items():
        section, _, name = key.partition("__")
        values[section][name] = value
    return values


def test_the_params_file_fits_the_schema():
    assert load_params(ROOT / "params.yaml")


def test_every_key_has_a_comment():
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        assert not line.startswith("  ") or "# " in line, f"no comment: {line}"


def test_numbers_that_pyyaml_reads_as_text_are_numbers():
    params = parse_params(changed(vae__lr="1e-4", gan__lr="2.5E-3"))
    assert (params.vae.lr, params.gan.lr) == (1e-4, 2.5e-3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vae__latent_dim": 0}, "vae.latent_dim: expected greater than or equal to 1, got 0"),
        ({"vae__latent_dim": "16"}, "vae.latent_dim: expected integer, got '16'"),
        ({"vae__latent_dims": 3}, "vae.latent_dims: unknown key; did you mean latent_dim?"),
        ({"gan__model": "nonee"}, "gan.model: expected 'skeleton', 'dense'"),
        ({"gan__model": None}, "gan.model: expected 'skeleton', 'dense'"),
        ({"gan__betas": [0.5, 1.0]}, "gan.betas.1: expected less than 1, got 1.0"),
        ({"gan__lr": float("nan")}, "gan.lr: expected"),
        ({"data__val": True}, "data.val: expected number, got True"),
        ({"data__height": 100}, "data.height: expected a multiple of 8, got 100"),
        ({"render__seconds": "all"}, "render.seconds: expected number, got 'all'"),
        ({"vae__prior": "flows"}, "vae.prior: expected 'flow' or 'normal', got 'flows'"),
        ({"prior__beats": 0}, "prior.beats: expected greater than or equal to 1, got 0"),
        ({"render__beat_warp": 0.2}, "render.beat_warp: expected less than or equal to 0.15, got 0.2"),
        (
            {"features__cluster": "head:8786"},
            "features.cluster: expected tcp://host:port, the address of a Dask",
        ),
        ({"features__cluster": "tcp://head:87860"}, "features.cluster: expected tcp://host:port"),
        ({"features__cluster": 8786}, "features.cluster: expected string"),
        ({"vae__kl_warmup": 41}, "vae: kl_warmup (41 epochs) is longer than the training"),
        ({"data__val": 0.45, "data__test": 0.45}, "data: val (0.45) and test (0.45) leave under a fifth"),
        (
            {"features__smooth_cutoff": 7.5},
            "features: smooth_cutoff (7.5 Hz) must be under half of fps / detect_every (15/s)",
        ),
    ],
)
def test_an_error_names_the_key_and_what_was_expected(changes: dict, expected: str):
    with pytest.raises(ParamsError) as error:
        parse_params(changed(**changes))
    assert expected in str(error.value)


def test_all_errors_are_reported_at_once():
    values = changed(vae__latent_dim=0, gan__epochs=1.5)
    del values["render"]["song"]
    values["extra"] = {}
    with pytest.raises(ParamsError) as error:
        parse_params(values, "my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml has 4 faults:")
    for key in ("vae.latent_dim", "gan.epochs", "render.song: missing", "extra: unknown key"):
        assert key in message


def test_unreadable_files_are_reported(tmp_path: Path):
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "none.yaml")
    for content, reason in (("a: [1", "not readable as YAML"), ("- 1", "expected sections"), ("", "expected sections")):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(ParamsError, match=reason):
            load_params(tmp_path / "bad.yaml")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(section=st.sampled_from(sorted(VALUES)), data=st.data())
def test_any_value_is_accepted_or_reported_but_never_crashes(section: str, data: st.DataObject):
    values = copy.deepcopy(VALUES)
    values[section][data.draw(st.sampled_from(sorted(VALUES[section])))] = data.draw(_JSON)
    try:
        assert isinstance(parse_params(values), Params)
    except ParamsError as error:
        assert section in str(error)


@pytest.mark.parametrize("system", ["faces", "digits", "param_tanh"])
def test_the_params_of_every_image_system_fit_the_schema(system: str):
    params = load_params(ROOT / f"pipelines/{system}/params.yaml")
    assert isinstance(params, ImageParams)
    flat = params.flat()
    assert flat["mlflow.experiment"] == system
    assert ("vae.latent_dim" in flat) == (system == "digits")
    assert parse_params(params.model_dump(), "again", ImageParams) == params


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gan.model": "dcgn"}, "gan.model: expected one of 'dcgan', 'digits', 'vae', got 'dcgn'"),
        ({"gan.lrr": 1}, "gan.lrr: unknown key; did you mean lr?"),
        ({"gan.latent_dim": 8}, "gan.latent_dim: unknown key"),
        ({"gan.lr": "fast"}, "gan.lr: expected number, got 'fast'"),
        ({"data.height": 72}, "gan.model dcgan is for squares of 64, 128, 256 px"),
        ({"data.channels": 1}, "in 3 channels; section data has 64 x 64 px in 1 channel"),
    ],
)
def test_an_error_in_an_image_system_names_the_key(changes: dict, expected: str):
    values = yaml.safe_load((ROOT / "pipelines/faces/params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    with pytest.raises(ParamsError) as error:
        parse_params(values, "params.yaml", ImageParams)
    assert expected in str(error.value)


def test_vae_or_gan_is_required():
    values = yaml.safe_load((ROOT / "pipelines/faces/params.yaml").read_text(encoding="utf-8"))
    values["gan"] = None
    with pytest.raises(ParamsError, match="vae and gan are both null"):
        parse_params(values, "params.yaml", ImageParams)
