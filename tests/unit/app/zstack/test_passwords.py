"""No password is stored as it came."""

from typing import Any

import pytest
from passlib.hash import sha512_crypt

from app.zstack.passwords import hash_passwords, holds_password

PASSWORD = "correct horse"


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"systemTags": ["a", f"rootPassword::{PASSWORD}"]}, lambda p: p["systemTags"][1][14:]),
        (
            {"vmCustomSpecification": {"rootPassword": PASSWORD}},
            lambda p: p["vmCustomSpecification"]["rootPassword"],
        ),
    ],
)
def test_a_password_becomes_its_hash_once(parameters: dict[str, Any], found: Any) -> None:
    assert holds_password(parameters)
    hashed = hash_passwords(parameters)
    assert sha512_crypt.verify(PASSWORD, found(hashed))
    assert hash_passwords(hashed) == hashed, "a retry sends the stored request"
    assert not holds_password(hashed)


def test_what_only_looks_like_a_hash_is_hashed() -> None:
    (tag,) = hash_passwords({"systemTags": ["rootPassword::$6$guess"]})["systemTags"]
    assert sha512_crypt.verify("$6$guess", tag.removeprefix("rootPassword::"))


@pytest.mark.parametrize("given", [{}, {"systemTags": None}, {"systemTags": [1]}, {"names": ["x"]}])
def test_other_parameters_stay(given: dict[str, Any]) -> None:
    assert hash_passwords(given) == given
    assert not holds_password(given)
