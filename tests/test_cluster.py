"""Clips are extracted on a Dask cluster: the same files as here, whatever becomes of the workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import ROOT
from drawn_dancer import draw, write_clip
from test_extraction import DANCE, SETTINGS, contents

from dancing.clips import cluster, extraction
from dancing.clips.extraction import extract_folder
from dancing.errors import UserError

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install -e '.[cluster]'")
pytestmark = pytest.mark.slow
WATCHED = ("--nthreads", "1", "--preload", str(ROOT / "tests/watched_worker.py"))


@contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen]:
    """A program of Dask, in a folder of its own."""
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": paths, "EXTRACTIONS": str(folder / "extractions.txt")}
    env["DASK_TEMPORARY_DIRECTORY"] = str(folder)
    env["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "1"  # not three: each costs the start of a worker
    with (folder / "log.txt").open("a") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "dask", *command], cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            program.kill()


@contextmanager
def scheduler_in(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    file = folder / "scheduler.json"
    command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    with started(folder, *command) as program:
        wait_until(file.exists)
        yield json.loads(file.read_text())["address"], program


@contextmanager
def workers_in(folder: Path, address: str, *options: str, count: int = 1) -> Iterator[None]:
    command = ["worker", address, "--no-dashboard", "--nworkers", str(count), *options]
    with started(folder, *command):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def scheduler(folder: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, which a nanny replaces."""
    with scheduler_in(folder) as (address, _), workers_in(folder, address, *WATCHED, count=2):
        yield address


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def extractions(folder: Path) -> list[tuple[int, str]]:
    """Process and file of each extraction that was begun."""
    file = folder / "extractions.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def at_extraction(number: int, folder: Path, action: Callable[[int], None]) -> threading.Thread:
    """Call `action` with the process that begins the extraction of this number."""

    def watch() -> None:
        wait_until(lambda: len(extractions(folder)) >= number)
        action(extractions(folder)[number - 1][0])

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def test_a_killed_worker_costs_one_clip_and_a_new_clip_its_own_time(tmp_path, monkeypatch, folder, scheduler):
    monkeypatch.chdir(tmp_path)
    for k in range(4):
        write_clip(tmp_path / f"clips/{k}.mp4", [draw((k + frame) / 5) for frame in range(24)])
    write_clip(tmp_path / "clips/silent.mp4", DANCE, sound=False)
    (tmp_path / "clips/broken.mp4").write_text("no film")

    before = len(extractions(folder))
    killer = at_extraction(before + 3, folder, kill)
    reports = extract_folder("clips", "out", SETTINGS, "cache", scheduler=scheduler)
    killer.join()
    begun = Counter(file for _, file in extractions(folder)[before:])
    assert len(begun) == 6
    assert begun.total() <= 7
    assert reports == extract_folder("clips", "out_here", SETTINGS, "cache_here", jobs=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "out_here")
    assert contents(tmp_path / "cache") == contents(tmp_path / "cache_here")

    for refused in ("silent", "broken"):
        (tmp_path / f"clips/{refused}.mp4").unlink()
    write_clip(tmp_path / "clips/new.mp4", DANCE[:20])
    before = len(extractions(folder))
    extract_folder("clips", "out", SETTINGS, "cache", scheduler=scheduler)
    assert [file for _, file in extractions(folder)[before:]] == ["new.mp4"]
    extract_folder("clips", "out", SETTINGS, "cache", scheduler="tcp://127.0.0.1:1")  # nothing is left to do
    assert len(contents(tmp_path / "out")) == 5


def crash_here(path: Path, settings: extraction.ExtractionSettings, cached: Path) -> str:
    """In place of `_extract_cached`."""
    if path.name == "crash.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    return extract_cached(path, settings, cached)


extract_cached = extraction._extract_cached


def test_a_clip_that_kills_its_workers_is_tried_here(tmp_path, monkeypatch, scheduler):
    """It is refused if it kills this process, too; the others go on."""
    for frames, name in enumerate(("a", "crash", "crash_there"), 20):
        write_clip(tmp_path / f"clips/{name}.mp4", DANCE[:frames])
    monkeypatch.setattr(extraction, "_extract_cached", crash_here)
    reports = extract_folder(tmp_path / "clips", tmp_path / "out", SETTINGS, tmp_path / "cache", scheduler=scheduler)
    assert [report["used"] for report in reports] == [True, False, True]
    assert "crashed" in reports[1]["reason"]


def test_a_fault_of_a_worker_s_machine_is_not_a_clip_s(tmp_path, scheduler):
    """Such as a full disk: it ends the extraction, with the clip's name."""
    write_clip(tmp_path / "clips/a.mp4", DANCE[:20])
    task = (str(tmp_path / "clips/a.mp4"), vars(SETTINGS), "")
    with pytest.raises(FileNotFoundError) as raised:
        list(cluster.run(scheduler, "os:stat", {"a": (str(tmp_path / "gone"),)}, tmp_path))
    assert raised.value.filename == str(tmp_path / "gone")
    with pytest.raises(UserError, match=r"a.mp4 is missing or another file, or the code is another version"):
        list(cluster.run(scheduler, "dancing.clips.extraction:extract_shared", {"a": task}, tmp_path))
    with pytest.raises(UserError, match=r"lack what is needed \(No module named 'nonsense'\)"):
        list(cluster.run(scheduler, "nonsense:nonsense", {"a": ()}, tmp_path))


def test_a_worker_that_loaded_other_code_is_refused(tmp_path, monkeypatch):
    """Its files may be today's: workers live on when the code changes."""
    clip = write_clip(tmp_path / "a.mp4", DANCE[:20])
    cached = tmp_path / f"{extraction._key(clip, SETTINGS)}.npz"
    monkeypatch.setattr(extraction, "_CODE", b"of yesterday")
    with pytest.raises(UserError, match="start workers anew when the code changes"):
        extraction.extract_shared(str(clip), vars(SETTINGS), str(cached))
    assert not cached.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threads": 4}, "the worker tcp://a:1 has 4 threads, expected one: start more workers with --nthreads 1"),
        ({"versions": {"av": "17.0", "none": "1"}}, r"has av \d.* instead of 17\.0, none None instead of 1: start it"),
        ({"folder": "/gone"}, "does not see /gone: project, clips and cache have to be on a file system"),
        ({"seen": "/gone/file"}, "does not see /gone/file"),
    ],
)
def test_a_worker_that_differs_is_told(tmp_path, changes, message):
    same = {"worker": "tcp://a:1", "threads": 1, "folder": str(tmp_path), "seen": str(tmp_path)}
    same |= {"versions": cluster.VERSIONS}
    cluster.check_worker(**same)
    with pytest.raises(UserError, match=f"features.cluster: .*{message}"):
        cluster.check_worker(**(same | changes))


@pytest.fixture
def impatient(monkeypatch) -> None:
    for name, seconds in (("_CONNECT_S", 1.0), ("_LOOK_S", 0.3), ("_PATIENCE_S", 1.0)):
        monkeypatch.setattr(cluster, name, seconds)


@pytest.fixture
def one_clip(tmp_path) -> Callable[[str], list[dict]]:
    """Extracts a folder of one clip, by the scheduler at an address."""
    write_clip(tmp_path / "clips/a.mp4", [draw(frame / 5) for frame in range(150)])

    def extract(address: str) -> list[dict]:
        return extract_folder(tmp_path / "clips", tmp_path / "out", SETTINGS, tmp_path / "cache", scheduler=address)

    return extract


def serve(listener: socket.socket, answer: bytes) -> None:
    """Answer each connection with the same bytes."""
    with suppress(OSError):  # the end of the test closes the listener
        while True:
            connection, _ = listener.accept()
            connection.sendall(answer)


@pytest.mark.parametrize("case", ["closed", "silent", "http", "unknown", "worker", "missing"])
def test_a_cluster_that_is_not_there_is_told(monkeypatch, impatient, one_clip, scheduler, case):
    message = "no Dask scheduler answers at"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        if case in ("silent", "http"):
            listener.listen()
        if case == "http":
            threading.Thread(target=serve, args=(listener, b"HTTP/1.1 400 Bad Request\r\n\r\n"), daemon=True).start()
        elif case == "unknown":
            address = "tcp://nowhere.invalid:8786"
        elif case == "worker":
            with distributed.Client(scheduler, set_as_default=False) as client:
                address = next(iter(client.nthreads()))
        elif case == "missing":
            monkeypatch.setitem(sys.modules, "distributed", None)
            message = "the package distributed is missing"
        begin = time.monotonic()
        with pytest.raises(UserError, match=f"features.cluster: {message}"):
            one_clip(address)
        assert time.monotonic() - begin < 10


def test_a_cluster_that_goes_away_is_told(tmp_path, impatient, one_clip):
    """No worker at first, then a worker with two threads, then one that dies for good, then no scheduler."""
    with scheduler_in(tmp_path) as (address, program):
        with pytest.raises(UserError, match=r"features.cluster: the scheduler at tcp.* has no workers: dask worker"):
            one_clip(address)
        with (
            workers_in(tmp_path, address, "--nthreads", "2"),
            pytest.raises(UserError, match=r"features.cluster: the worker tcp.* has 2 threads, expected one"),
        ):
            one_clip(address)
        cases = [
            (kill, "no worker was left for 1 s"),
            (lambda _: program.kill(), "the connection to the scheduler was lost"),
        ]
        for action, message in cases:
            with workers_in(tmp_path, address, *WATCHED, "--no-nanny"):
                watcher = at_extraction(len(extractions(tmp_path)) + 1, tmp_path, action)
                with pytest.raises(UserError, match=f"features.cluster: {message}"):
                    one_clip(address)
                watcher.join()
