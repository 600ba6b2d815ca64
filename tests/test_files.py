from pathlib import Path

import pytest

from dancing.files import atomic_write


def test_a_file_appears_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def break_off(path: Path) -> None:
    with atomic_write(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def test_a_broken_off_one_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    with pytest.raises(KeyboardInterrupt):
        break_off(path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        break_off(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
