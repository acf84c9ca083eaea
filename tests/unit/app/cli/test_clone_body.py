"""What is typed becomes what the API takes; what cannot be right is named."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli.clone_body import (
    guest_tags,
    names_of,
    new_names_of,
    nic_of,
    read_request,
    seconds_of,
    volume_of,
)


def test_names_and_ranges_stand_in_their_order() -> None:
    assert names_of(["db", "web-{08..11}", "a{x}b"]) == [
        "db", "web-08", "web-09", "web-10", "web-11", "a{x}b"
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["web-{5..1}", "{1..2}-{1..2}", "web-{1..99999}"])
def test_a_range_that_is_none_is_named(pattern: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        names_of([pattern])
    assert str(refused.value).startswith(f"[{pattern}]")


@pytest.mark.parametrize("pattern", ["web-{1-9}", "web-{a..c}", "web-{001..1", "web-{1..2}}"])
def test_no_vm_is_made_of_a_mistaken_pattern(pattern: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        new_names_of(["db", pattern])
    assert str(refused.value).startswith(f"[{pattern}] has braces that are no range")


@pytest.mark.parametrize(
    ("text", "nic"),
    [
        ("net", {"l3NetworkUuid": "net"}),
        (
            "net,ip=10.0.0.9,mac=fa:00:00:00:00:01,default",
            {
                "l3NetworkUuid": "net",
                "ip": "10.0.0.9",
                "mac": "fa:00:00:00:00:01",
                "isDefaultNic": True,
            },
        ),
        ("net,queues=4", {"l3NetworkUuid": "net", "multiQueueNum": 4}),
    ],
)
def test_a_nic(text: str, nic: dict[str, Any]) -> None:
    assert nic_of(text) == nic


@pytest.mark.parametrize("text", ["net,ipp=1", "net,default=1", "net,ip", "net,queues=x", "net,"])
def test_a_nics_mistake_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        nic_of(text)


def test_a_volume() -> None:
    assert volume_of("v,include=false") == {"uuid": "v", "include": False}
    assert volume_of("v,mode=full,storage=s") == {
        "uuid": "v", "mode": "full", "primaryStorageUuid": "s"
    }  # fmt: skip
    with pytest.raises(typer.BadParameter, match="'no' in 'v,include=no' is not true or false"):
        volume_of("v,include=no")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30 min", 1800), ("2h", 7200), ("1d", 86400)]
)
def test_a_time(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1", "2 weeks", "1.5h"])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time, as 90s"):
        seconds_of(text)


def test_keys_and_user_data_become_tags(tmp_path: Path) -> None:
    keys, data = tmp_path / "keys", tmp_path / "data"
    keys.write_text("# mine\n\nssh-ed25519 AAAA me\nssh-ed25519 BBBB you\n")
    data.write_text("#cloud-config\n")
    assert guest_tags("web", [keys], data) == [
        "hostname::web",
        "sshkey::ssh-ed25519 AAAA me",
        "sshkey::ssh-ed25519 BBBB you",
        "userdata::I2Nsb3VkLWNvbmZpZwo=",
    ]


def test_a_request_file_holds_one_object(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"diskAOs": []}))
    assert read_request(file) == {"diskAOs": []}
    for wrong in ("[]", "{"):
        file.write_text(wrong)
        with pytest.raises(typer.BadParameter, match=r"request\.json"):
            read_request(file)
