"""zstack-mcp-server, unchanged, against a running vmclone: it logs in, queries, clones, polls and
logs out by the legacy RPC."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.stack import running_stack
from tests.requirements import require

SERVER = "zstack-mcp-server==0.1.7"
SCRIPT = Path(__file__).with_name("mcp_session.py")
INVENTORY = """
zones: [{name: z}]
clusters: [{name: c, zone: z, hypervisorType: Simulator}]
hosts: [{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 8, memorySize: 16GiB}]
primaryStorage: [{name: ps, type: Simulator, url: /ps, clusters: [c], capacity: 100GiB}]
l3Networks:
  - name: l3
    zone: z
    bridge: br0
    ipRanges:
      - {startIp: 10.9.0.10, endIp: 10.9.0.250, netmask: 255.255.255.0, gateway: 10.9.0.1}
vmInstances:
  - name: golden
    cluster: c
    cpuNum: 1
    memorySize: 128MiB
    volumes: [{type: Root, primaryStorage: ps, path: /images/golden.qcow2, size: 1GiB}]
    nics: [{l3Network: l3}]
"""


def python_with_server() -> Path:
    """Of an environment beside this one, made once; the package needs mcp before 2."""
    python = Path(sys.prefix) / "zstack-mcp" / "bin" / "python"
    if not python.with_name("zstack-mcp-server").exists():
        bare = [sys.executable, "-m", "venv", "--without-pip", str(python.parents[1])]
        subprocess.run(bare, check=True)
        installed = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", str(python)),
                *("install", "--quiet", "--no-compile", SERVER, "mcp<2"),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        require(installed.returncode == 0, f"{SERVER} cannot be installed: {installed.stderr}")
    return python


def test_an_assistant_clones_through_the_mcp_server(tmp_path: Path) -> None:
    python = python_with_server()
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(INVENTORY)
    with running_stack(tmp_path / "home") as stack:
        applied = stack.vmclone("inventory", "apply", str(inventory), "--json")
        assert applied.returncode == 0, applied.stderr
        with stack.database() as database, database.single() as connection:
            source = connection.exec_driver_sql("SELECT uuid FROM vm_instances").scalar_one()
        url = f"http://127.0.0.1:{stack.settings.port}"
        ran = subprocess.run(
            [str(python), str(SCRIPT), url, "password", source],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        said = json.loads(ran.stdout.splitlines()[-1])
        assert [vm["uuid"] for vm in inventories(said["query"])] == [source]
        clone = said["clone"]["result"]["result"]
        assert clone["numberOfClonedVm"] == 2, said["clone"]
        names = [entry["inventory"]["name"] for entry in clone["inventories"]]
        assert names == ["m-1", "m-2"]
        assert said["refused"]["success"] is False
        assert "SYS.1003" in json.dumps(said["refused"])
        assert "5.2.1" in json.dumps(said["version"])
        with stack.database() as database, database.single() as connection:
            left = connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one()
        assert left == 0, "it logged out"


def inventories(answer: dict[str, object]) -> list[dict[str, object]]:
    result = answer["result"]
    assert isinstance(result, dict)
    found = result["inventories"]
    assert isinstance(found, list)
    return found
