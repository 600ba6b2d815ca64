"""A checkpoint's config names its model, and each system's registry builds the same networks from it again."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from dancing.music_to_pose.models import MODELS as MOTION_MODELS
from dancing.noise_to_image.models import GANS, VAES
from dancing.pose_to_image.models import MODELS as POSE_MODELS
from dancing.training.checkpoints import open_checkpoint, save_checkpoint
from dancing.training.registry import Registry

REGISTRIES = {"music_to_pose": MOTION_MODELS, "pose_to_image": POSE_MODELS, "image VAEs": VAES, "image GANs": GANS}
MODELS = [(system, name) for system, registry in REGISTRIES.items() for name in registry.models]
#: A value for every field of every config; no two are alike, so that mixed-up fields show.
VALUES = {
    "height": 64, "width": 96, "setups": 3, "margin": 9, "fold": 2, "channels": 8, "output": "param_tanh",
    "batch_norm": False,
    "discriminator": "deep", "categories": 3, "noise": 100, "latent_dim": 5, "n_mfcc": 4, "units": 16, "pose_dim": 66,
    "audio_dim": 37, "beat_columns": 12, "hidden": 10, "layers": 1, "latents_per_beat": 7, "fps": 30,
}  # fmt: skip


@pytest.mark.parametrize(("system", "name"), MODELS)
def test_a_model_survives_a_checkpoint(system: str, name: str, tmp_path):
    registry = REGISTRIES[system]
    config = registry.config(name, **VALUES, no_field_of_any_config=1)
    assert asdict(config).items() <= VALUES.items()
    models = registry.build(config)
    assert [type(model) for model in models] == [type(model) for model in registry.build(config)]
    assert len(models) == len(registry.models[name]) - 1
    content = {"config": registry.to_dict(config), "states": [model.state_dict() for model in models]}
    save_checkpoint(tmp_path / "best.pt", content)
    with open_checkpoint(tmp_path / "best.pt", "train_vae") as checkpoint:
        assert checkpoint["config"]["model"] == name
        assert registry.from_dict(checkpoint["config"]) == config
        for model, again, state in zip(
            models, registry.build(registry.from_dict(checkpoint["config"])), checkpoint["states"], strict=True
        ):
            again.load_state_dict(state)
            assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


RESTORE = """
import sys
import test_registry as test
registry = test.REGISTRIES[sys.argv[1]]
config = registry.config(sys.argv[2], **test.VALUES)
registry.restore(registry.to_dict(config), registry.build(config)[0].state_dict())
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.parametrize(("system", "name"), [model for model in MODELS if not model[0].startswith("image")])
def test_to_restore_a_model_imports_no_compiler(system: str, name: str):
    """Some operations on the meta device import PyTorch's compiler, for which each rendering would wait a second."""
    command = [sys.executable, "-c", RESTORE, system, name]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("system", "name"), MODELS)
def test_a_missing_field_is_reported(system: str, name: str):
    with pytest.raises(TypeError, match="missing"):
        REGISTRIES[system].config(name)


def test_a_config_of_another_version_is_reported():
    plain = POSE_MODELS.to_dict(POSE_MODELS.config("dense", **VALUES))
    for changed, error in (({"model": "unknown"}, KeyError), ({"depth": 3}, TypeError)):
        with pytest.raises(error):
            POSE_MODELS.from_dict(plain | changed)
    assert plain["model"] == "dense"  # from_dict leaves its argument as it was


def test_names_are_unique_to_a_config():
    """`to_dict` finds the name by the config's class, so no two models of a system may share one."""
    for registry in REGISTRIES.values():
        assert isinstance(registry, Registry)
        kinds = [kind for kind, *_ in registry.models.values()]
        assert len(set(kinds)) == len(kinds)
