"""While children run, the terminal hears the command alone."""

import subprocess
import sys
from pathlib import Path

SPEAK = """
import subprocess, sys
from pathlib import Path
from app.cli.terminal import children_speak_to
with children_speak_to(Path(sys.argv[1])) as terminal:
    print("ours", file=terminal)
    subprocess.run([sys.executable, "-c", "print('theirs')"], check=True)
print("afterwards", flush=True)
"""


def speak(log: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, str(log)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_children_speak_to_the_log_and_the_terminal_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "home" / "log" / "demo.log"
    assert speak(log).splitlines() == ["ours", "afterwards"]
    assert log.read_text() == "theirs\n"


def test_a_log_that_cannot_be_written_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    assert "theirs" in speak(tmp_path / "home" / "log" / "demo.log")
