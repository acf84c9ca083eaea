import os
import subprocess
from pathlib import Path

from app.embedded.ports import free_port
from tests.e2e.stack import VMCLONE


def test_the_demo_holds_every_check_with_nothing_installed(tmp_path: Path) -> None:
    """On a PATH without Redis, PostgreSQL or QEMU, in a folder whose name has a space."""
    environment = {
        **os.environ,
        "PATH": "/nonexistent",
        "VMCLONE_HOME": str(tmp_path / "a home"),
        "VMCLONE_PORT": str(free_port()),
    }
    for _ in range(2):
        done = subprocess.run(
            [*VMCLONE, "demo", "--once"],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("equal") >= 5
