"""Refusals are one line on stderr; the status tells usage errors from others."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import main as command
from app.cli.main import app


def run_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["vmclone", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("vmclone ")


@pytest.mark.parametrize(
    "words",
    [
        ["clonne"],
        ["inventory", "set", "vm", "golden", "state=Enabled"],
        ["inventory", "set", "host", "h", "state=Off"],
        ["inventory", "set", "host", "h", "status=Enabled"],
        ["worker", "--processes", "0"],
        ["doctor", "--repair"],
        ["doctor", "--source", "golden", "--orphans"],
    ],
    ids=" ".join,
)
def test_a_usage_error_has_status_2(words: list[str]) -> None:
    assert CliRunner().invoke(app, words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["clone", "golden"], "Missing argument 'NAME'"),
        (["clone", "golden", "x", "--mode", "fast"], "'fast' is not one of"),
        (["clone", "golden", "x", "--on-failure", "stop"], "keep or allOrNothing, not stop"),
        (["clone", "golden", "x", "--priority", "10"], "less than or equal to 9"),
        (["clone", "golden", "x", "--timeout", "soon"], "'soon' is no time"),
        (["clone", "golden", "x", "--user-data", "/nowhere"], "'/nowhere' does not exist"),
        (["clone", "golden", "web-{9..1}"], "[web-{9..1}] stands for 0 names"),
        (["clone", "golden", "x", "--nic", "wide,ipp=1"], "'ipp=1' in 'wide,ipp=1'"),
        (["watch"], "Missing argument 'JOB'"),
        (["destroy"], "name VMs, or a job with --job"),
        (["destroy", "vm", "--job", "1"], "name VMs, or a job with --job"),
        (["login", "ftp://x"], "ftp://x is no server's URL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_people_mistype_is_named_without_any_server(words: list[str], says: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.replace("│", " ").split())


def test_no_stack_is_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VMCLONE_HOME", str(tmp_path))
    for name in ("VMCLONE_DATABASE_URL", "VMCLONE_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    status, errors = run_main(monkeypatch, capsys, "migrate")
    assert status == 1
    assert errors.startswith(f"vmclone: no vmclone stack runs on {tmp_path}: start `vmclone up`")
    assert errors.count("\n") == 1


def test_a_setting_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VMCLONE_PORT", "http")
    status, errors = run_main(monkeypatch, capsys, "migrate")
    assert status == 1
    assert errors.startswith("vmclone: VMCLONE_PORT: ")
    assert "not 'http'" in errors
    assert errors.count("\n") == 1


def test_a_database_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VMCLONE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("VMCLONE_BROKER_URL", "redis://127.0.0.1:1/0")
    status, errors = run_main(monkeypatch, capsys, "migrate")
    assert status == 1
    assert errors.startswith("vmclone: the database cannot be used: ")
    assert "Traceback" not in errors


def test_help_imports_neither_tables_nor_celery() -> None:
    code = (
        "import sys, app.cli.main; "
        "print([m for m in ('sqlalchemy', 'celery', 'aiohttp', 'pydantic') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("uri", ["qemu:///session", "qemu+ssh://other/system"])
def test_only_the_hosts_own_libvirt_is_discovered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str
) -> None:
    pytest.importorskip("libvirt")
    monkeypatch.setenv("VMCLONE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("VMCLONE_BROKER_URL", "redis://127.0.0.1:1/0")
    status, errors = run_main(monkeypatch, capsys, "inventory", "discover", "--uri", uri)
    assert status == 1
    assert errors.startswith(f"vmclone: libvirtUri {uri} is not served")
