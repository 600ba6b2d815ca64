"""A stage that ends early: one line, the right exit status, and nothing half-written."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from dancing.files import atomic_write, ensure_space

pytestmark = pytest.mark.slow  # all start processes

TRAINING = """
import signal, sys, time
from pathlib import Path
import torch
from dancing.errors import exit_on_user_error
from dancing.training.checkpoints import ResumeState
from dancing.training.epochs import EpochRunner, Means

class Slow:
    rows_per_epoch = 1

    def train_epoch(self, epoch):
        if epoch == 3:
            print("third", flush=True)
            time.sleep(30)
        means = Means()
        means.add({"loss": torch.tensor(1.0)})
        return means
    validate = lambda self: {}
    checkpoint = lambda self: {}
    state_dict = lambda self: {}
    samples = lambda self: {}

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
exit_on_user_error(lambda: EpochRunner("train_x", 40, ResumeState(Path(sys.argv[1])), ()).run(Slow()))
"""


def start(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}"},
    )  # fmt: skip


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_says_where_it_goes_on(tmp_path, number, status):
    process = start(TRAINING, str(tmp_path / "resume.pt"))
    assert process.stdout.readline() == "third\n"
    process.send_signal(number)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == status
    assert error == "stopped; train_x: 2 of 40 epochs are done; the same command goes on from there\n"


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("OSError(28, 'No space left on device', 'data/x.h5')", "error: data/x.h5: No space left on device; make room"),
        ("PermissionError(13, 'Permission denied', 'a')", "error: a: Permission denied; check the permissions"),
        ("MemoryError()", "error: out of memory"),
        (
            "RuntimeError('[enforce fail] DefaultCPUAllocator: can\\'t allocate memory: 9 bytes')",
            "error: out of memory",
        ),
    ],
)
def test_faults_of_the_machine_are_one_line(fault, line):
    code = f"from dancing.errors import exit_on_user_error\ndef main(): raise {fault}\nexit_on_user_error(main)"
    process = start(code)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert error.startswith(line)
    assert len(error.splitlines()) == 1


def test_a_bug_keeps_its_traceback():
    process = start("from dancing.errors import exit_on_user_error\nexit_on_user_error(lambda: 1 / 0)")
    assert "Traceback" in process.communicate(timeout=20)[1]


def test_what_a_killed_writer_left_is_swept(tmp_path):
    code = (
        "import os, sys; from dancing.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as partial: partial.write_text('half'); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "a [1].txt"
    path.write_text("old")
    assert start(code, str(path)).wait() == -9
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert len(list(tmp_path.iterdir())) == 2  # the old file and the new partial one
    assert [file.read_text() for file in tmp_path.glob("a*")] == ["new"]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs more rights")
    yield folder
    subprocess.run(["umount", folder], check=True)


WRITING = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from conftest import make_piece
from dancing.clips.dataset import Picture, write_dataset
from dancing.errors import exit_on_user_error

def frames(count):  # another program fills the disk meanwhile
    for k in range(count):
        if k == 10:
            open(sys.argv[1] + ".other", "wb").write(bytes(12 * 2**20))
        yield Picture(np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8))

def pieces():
    for k in range(20):
        yield make_piece(f"clip{k}", "train", 128, k), frames(128)

attributes = {"fps": 30, "width": 100, "height": 100, "fit": "crop", "n_mfcc": 4}
exit_on_user_error(lambda: write_dataset(sys.argv[1], attributes, pieces()))
"""


def test_a_full_disk_is_one_line(small_disk):
    """HDF5 crashed: segmentation fault under 156 lines."""
    (small_disk / "dataset.h5").write_bytes(b"old")
    process = start(WRITING, str(small_disk / "dataset.h5"), str(ROOT / "tests"))
    error = process.communicate(timeout=60)[1]
    assert (process.returncode, error.splitlines()) == (1, [error.strip()])
    assert error.startswith(f"error: {small_disk}: No space left on device")
    assert {file.name for file in small_disk.iterdir()} <= {"dataset.h5", "dataset.h5.other"}
    assert (small_disk / "dataset.h5").read_bytes() == b"old"


def test_a_quota_is_one_line(tmp_path):
    """The limit on the size of a file, which needs no rights, in place of a quota: free space shows neither."""
    (tmp_path / "dataset.h5").write_bytes(b"old")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))\n"
    process = start(limit + WRITING, str(tmp_path / "dataset.h5"), str(ROOT / "tests"))
    error = process.communicate(timeout=60)[1]
    assert (process.returncode, error) == (
        1,
        f"error: {tmp_path}: File too large; raise the limit on the size of files (ulimit -f)\n",
    )
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("dataset.h5", b"old")]


def test_space_is_looked_at(tmp_path):
    ensure_space(tmp_path, 1)
    with pytest.raises(OSError) as raised:  # noqa: PT011 - its errno says more than its text
        ensure_space(tmp_path, 2**60)
    assert raised.value.errno == errno.ENOSPC
