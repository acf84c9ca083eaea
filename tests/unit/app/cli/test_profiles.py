"""A profile is its owner's alone, and written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.cli.client import Server
from app.cli.profiles import Profile, load, profile_file, save
from app.cli.servers import choose_server
from app.endpoints import ConfigurationError
from app.settings import Settings

PROFILE = Profile("http://clones:81", "ann", "s" * 32)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose profiles lie below tmp_path."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_only_its_owner_can_read_it_whatever_the_umask(home: dict[str, str]) -> None:
    file = profile_file("work", home)
    before = os.umask(0)
    try:
        save(file, PROFILE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o700
    assert load(file) == PROFILE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_one_that_others_can_read_or_write_is_refused(home: dict[str, str], mode: int) -> None:
    file = profile_file("default", home)
    save(file, PROFILE)
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"mode {mode:03o}.*chmod 600 {file}"):
        load(file)


def test_a_failed_write_keeps_the_old_one_and_leaves_nothing(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = profile_file("default", home)
    save(file, PROFILE)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match=r"cannot be written: No space left"):
        save(file, Profile("http://other", "bob", "t"))
    assert load(file) == PROFILE
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "u"}', '{"url": "u", "x": 1}'])
def test_what_is_no_profile_is_named(home: dict[str, str], content: str) -> None:
    file = profile_file("default", home)
    save(file, PROFILE)
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=f"{file} is no profile .*vmclone login"):
        load(file)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "x" * 65, "-x"])
def test_a_name_is_no_path(home: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a profile"):
        profile_file(name, home)


def test_a_relative_configuration_folder_is_ignored() -> None:
    assert profile_file("a", {"XDG_CONFIG_HOME": "here"}).is_absolute()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, port=8123, admin_password=SecretStr("ours"))


def who(server: Server) -> tuple[str, str, str | None, str | None]:
    return server.url, server.user, server.password, server.session


def test_without_anything_it_is_this_machines_own(settings: Settings, home: dict[str, str]) -> None:
    assert who(choose_server(None, settings, home)) == (
        "http://127.0.0.1:8123", "admin", "ours", None
    )  # fmt: skip


def test_a_profile_goes_before_it_and_the_environment_before_that(
    settings: Settings, home: dict[str, str]
) -> None:
    save(profile_file("default", home), PROFILE)
    save(profile_file("work", home), Profile("http://work", "bob", "t"))
    default = (PROFILE.url, "ann", None, PROFILE.session)
    work = ("http://work", "bob", None, "t")
    named = {**home, "VMCLONE_PROFILE": "work"}
    variables = {"VMCLONE_URL": "http://env/", "VMCLONE_USER": "eve", "VMCLONE_PASSWORD": "p"}
    assert who(choose_server(None, settings, home)) == default
    assert who(choose_server(None, settings, named)) == work
    assert who(choose_server(None, settings, {**named, **variables})) == (
        "http://env", "eve", "p", None
    )  # fmt: skip
    assert who(choose_server("work", settings, {**home, **variables})) == work


def test_this_machines_password_is_sent_nowhere_else(
    settings: Settings, home: dict[str, str]
) -> None:
    for variables in ({"VMCLONE_URL": "http://env"}, {"VMCLONE_USER": "eve"}):
        with pytest.raises(ConfigurationError, match="without VMCLONE_PASSWORD"):
            choose_server(None, settings, {**home, **variables})
    assert choose_server(None, settings, {**home, "VMCLONE_USER": "admin"}).password == "ours"


def test_a_profile_that_is_not_there_or_signed_out_says_how_to_sign_in(
    settings: Settings, home: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="vmclone login --profile work URL"):
        choose_server("work", settings, home)
    save(profile_file("work", home), Profile("http://work", "bob"))
    with pytest.raises(ConfigurationError, match="signed out: `vmclone login --profile work`"):
        choose_server("work", settings, home)
