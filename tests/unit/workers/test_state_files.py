"""Files that stand for simulated things."""

import errno
import os
from pathlib import Path

import pytest

from workers.state_files import StateFiles


def test_what_is_added_is_there_until_it_is_removed(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "domains")
    for _ in range(2):
        files.add("a")
    files.add("b")
    assert files.names() == ["a", "b"]
    files.remove("a")
    files.remove("a")
    assert ("a" in files, "b" in files) == (False, True)


def test_more_names_than_a_file_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    files = StateFiles(tmp_path / "domains")
    files.add("a")
    monkeypatch.setattr(os, "link", refuses)
    files.add("b")
    assert files.names() == ["a", "b"]
