"""What trainings compute with: precision, threads."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, image_params
from recipes import train_motion, train_noise_gan, train_pose_gan
from torch import nn

from dancing.params import Train
from dancing.training import device
from dancing.training.adversarial import gradient_penalty
from dancing.training.compute import Compute
from dancing.training.epochs import EpochRunner

CPU = torch.device("cpu")


def test_networks_are_computed_in_bfloat16_and_give_float32():
    seen = []
    network = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    network[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for bfloat16, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        output = Compute(CPU, bfloat16).run(network, torch.randn(3, 8))
        assert (seen.pop(), output.dtype) == (dtype, torch.float32)
        output.sum().backward()
        assert all(weight.grad.dtype == torch.float32 for weight in network.parameters())
    pair = Compute(CPU, True).run(lambda x: (network(x), [x.long()]), torch.randn(3, 8))
    assert (pair[0].dtype, pair[1][0].dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(("precision", "bfloat16"), [(32, False), ("bf16", True)])
def test_precision_is_what_params_say(precision, bfloat16):
    compute = Compute.pick(Train(precision=precision, processes="auto", compile=False))
    assert (compute.bfloat16, compute.compiled) == (bfloat16, False)
    assert ("bfloat16" in compute.name) == bfloat16


def test_auto_is_bfloat16_where_the_processor_multiplies_it():
    flags = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not flags.exists():
        pytest.skip("for a CPU that says what it can do")
    native = {"avx512_bf16", "amx_tile"} & set(flags.read_text().split())
    assert Compute.pick(Train(precision="auto", processes=1, compile=False)).bfloat16 == bool(native)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["motion", "skeleton", "dcgan"])
def test_bfloat16_trains_as_float32_does(system, make_dataset, make_images, make_params, tmp_path, monkeypatch):
    """The losses of the first epochs differ by the rounding, not by more."""
    histories = {}
    for name, compute in (("float32", Compute(CPU)), ("bfloat16", Compute(CPU, bfloat16=True))):
        monkeypatch.setattr("recipes.Compute", lambda _, compute=compute: compute)
        folder = tmp_path / name
        if system == "motion":
            with make_dataset() as dataset:
                histories[name] = train_motion(dataset, make_params(), folder, folder).vae
        elif system == "skeleton":
            with make_dataset() as dataset:
                histories[name] = train_pose_gan(dataset, make_params().gan, folder, folder)
        else:
            with make_images("faces", 24) as images:
                histories[name] = train_noise_gan(images, image_params("faces", gan__batch_size=8).gan, folder, folder)
    key = "train_total" if system == "motion" else "train_generator"
    values = {name: history[0][key] for name, history in histories.items()}
    assert values["float32"] != values["bfloat16"]
    assert values["bfloat16"] == pytest.approx(values["float32"], rel=0.05)


def test_wgans_penalty_is_in_float32():
    critic = nn.Linear(16, 1)
    images = torch.randn(4, 1, 4, 4)
    penalty = gradient_penalty(lambda x: [critic(x.flatten(1))], images)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx((critic.weight.norm().item() - 1) ** 2, rel=1e-5)


BUSY = "while True: pass"


def test_threads_are_those_that_other_programs_leave(monkeypatch: pytest.MonkeyPatch):
    """With all cores busy, one thread; what the user has set wins."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "import torch; from dancing.training.device import pick_device; pick_device(); print(torch.get_num_threads())"
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def threads() -> int:
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return int(run.stdout.split()[-1])

    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(device.psutil.cpu_count())]
    try:
        assert threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert threads() == 2
    finally:
        for process in busy:
            process.kill()


def test_a_resumed_training_has_the_threads_it_began_with(tmp_path: Path):
    from test_epochs import FakeTrainer, runner

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        runner(tmp_path, 1).run(FakeTrainer([1.0, 2.0]))
        torch.set_num_threads(1)
        assert isinstance(runner(tmp_path, 2), EpochRunner)
        runner(tmp_path, 2).run(FakeTrainer([1.0, 2.0]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
