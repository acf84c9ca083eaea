"""docs/cli.md and the command name the same verbs."""

import re
from pathlib import Path

from app.cli.main import PEOPLE, app

PAGE = Path(__file__).parents[4] / "docs" / "cli.md"
NOT_VERBS = {"Which server", "Exit statuses", "Completion"}


def test_each_verb_for_people_is_described_and_no_other() -> None:
    verbs = {
        command.callback.__name__
        for command in app.registered_commands
        if command.callback and command.rich_help_panel == PEOPLE
    }
    headings = set(re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)) - NOT_VERBS
    described = {verb for heading in headings for verb in heading.split(", ")}
    assert described == verbs


def test_each_option_of_clone_is_described() -> None:
    section = PAGE.read_text().split("\n## clone\n")[1].split("\n## ")[0]
    described = set(re.findall(r"`(--[a-z-]+)|, `(--[a-z-]+)", section))
    names = {first or second for first, second in described}
    command = next(c for c in app.registered_commands if c.callback.__name__ == "clone")  # type: ignore[union-attr]
    assert command.callback is not None
    own = {f"--{name.replace('_', '-')}" for name in command.callback.__annotations__}
    own -= {"--source", "--names", "--return", "--as-json", "--profile"}
    assert own <= names
