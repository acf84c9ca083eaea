"""How `vmclone demo` ends."""

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli.demo_command import _Show
from app.cli.main import app


@pytest.mark.parametrize(
    ("held", "once", "ends_with"), [(True, True, 0), (False, True, 1), (False, False, 1)]
)
def test_it_is_over(held: bool, once: bool, ends_with: int) -> None:
    show = _Show(lambda: held, Console(quiet=True), once=once)
    assert show() == show.status == ends_with


def test_it_is_served_on() -> None:
    show = _Show(lambda: True, Console(quiet=True), once=False)
    assert show() is None
    assert show.status == 0


def test_one_that_was_stopped_before_its_checks_is_no_success() -> None:
    assert _Show(lambda: True, Console(quiet=True), once=True).status == 1


def test_an_image_is_for_guests_that_boot() -> None:
    done = CliRunner().invoke(app, ["demo", "--image", "x.qcow2"])
    assert done.exit_code == 2
    assert "--image goes with --hypervisor kvm" in done.output
