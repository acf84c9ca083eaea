"""Passwords in a request: hashed before the request is stored, for a guest's shadow file."""

from collections.abc import Callable
from typing import Any

from passlib.hash import sha512_crypt

from app.domain.guest import is_password_hash

TAG = "rootPassword::"


def hash_of(password: str) -> str:
    """Takes milliseconds."""
    return str(sha512_crypt.using(rounds=5000).hash(password))


def holds_password(parameters: dict[str, Any]) -> bool:
    """Whether `hash_passwords` has anything to do."""
    return hash_passwords(parameters, lambda _: "") != parameters


def hash_passwords(
    parameters: dict[str, Any], change: Callable[[str], str] = hash_of
) -> dict[str, Any]:
    """The parameters with each root password as crypt(3) has it. What is hashed already stays."""
    changed = dict(parameters)
    tags = parameters.get("systemTags")
    if isinstance(tags, list):
        changed["systemTags"] = [_tag(tag, change) for tag in tags]
    specification = parameters.get("vmCustomSpecification")
    if isinstance(specification, dict) and isinstance(specification.get("rootPassword"), str):
        changed["vmCustomSpecification"] = specification | {
            "rootPassword": _once(specification["rootPassword"], change)
        }
    return changed


def _tag(tag: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(tag, str) or not tag.startswith(TAG):
        return tag
    return TAG + _once(tag.removeprefix(TAG), change)


def _once(password: str, change: Callable[[str], str]) -> str:
    return password if not password or is_password_hash(password) else change(password)
