"""Other people's programs, as judges of what ours writes and reads."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.requirements import require

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def run(package: str, program: str, *arguments: str | Path) -> str:
    """What it prints. `package` is Debian's that has the program."""
    require(shutil.which(program, path=PATH), f"{program} (package {package})")
    done = subprocess.run(
        [program, *(str(argument) for argument in arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout
