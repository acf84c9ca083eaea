"""docs/api.md: every block of commands works as it stands there."""

import re
import subprocess
from pathlib import Path

from app.store import accounts
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
DEMO_VM = "26acf6e34ed95423a7e250f49c97d232"
# An answer that is no success fails the block; a stream without an end is left after a while.
CURL = 'curl() { command curl --fail-with-body --max-time 4 "$@" || test $? = 28; }\n'
KEPT = ("session", "auth", "jobs", "vm", "uuid")


class Shell:
    """Blocks one after another, as in one session."""

    def __init__(self, server: str, vm: str) -> None:
        self._server = server.removeprefix("http://")
        self._vm = vm
        self.values: dict[str, str] = {}

    def run(self, block: str) -> None:
        block = block.replace("localhost:8080", self._server).replace(DEMO_VM, self._vm)
        told = "".join(f'printf "%s\\0" "{name}=${{{name}-}}" >&3\n' for name in KEPT)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"exec 3>&1 >&2\n{CURL}{block}{told}"],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **self.values},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        self.values = dict(value.split("=", 1) for value in done.stdout.split("\0") if value)


def test_each_documented_call_is_answered(
    server: str, inventory: Inventory, engine: Engine, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE accounts SET name = 'admin', password_hash = %s",
            (accounts.hash_password(accounts.sha512("password")),),
        )
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert sum(block.count("curl") for block in blocks) > 12
    shell = Shell(server, inventory.source)
    for block in blocks:
        if "/retry" in block:  # the canceled job ends
            engine.start(shell.values["uuid"])
            engine.sweep()
        if "/vms" in block:  # of a job that has made some, and was not removed yet
            engine.publisher.messages.clear()
            made = engine.scalar("SELECT uuid FROM jobs WHERE retry_of IS NOT NULL")
            engine.start(made)
            engine.sweep()
            for removal in engine.rows("SELECT uuid FROM jobs WHERE kind = 'destroy'"):
                engine.start(removal.uuid)
            shell.values["uuid"] = made
        shell.run(block)
    kinds = engine.rows("SELECT kind::text FROM jobs ORDER BY created_at")
    assert [row.kind for row in kinds] == ["clone", "clone", "destroy", "expunge"]
