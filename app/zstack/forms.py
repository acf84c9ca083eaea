"""Bodies in: strict JSON, and which action of a shared path a body asks for.

Four forms of a clone submission exist (docs/zstack-compatibility.md): the action's key with the
tags inside, with the tags beside it, with `vmInstanceUuid` inside, and flat.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

MAX_DEPTH = 32
INT64 = range(-(2**63), 2**63)


class BadRequest(Exception):
    """The caller's mistake in the form of a request: answered 400 with this text."""


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises BadRequest for anything else, for nesting over 32,
    duplicate keys, invalid UTF-8 and numbers beyond 64 bits."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    if not text.strip():
        raise BadRequest("the body is empty, a JSON object is expected")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_int=_int64,
            parse_float=_double,
            parse_constant=_no_constant,
        )
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise BadRequest(f"the body nests deeper than {MAX_DEPTH} levels") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    # What opens nothing more often cannot nest deeper; a walk over 10,000 names is not free.
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(value)
    _check_text(text, value)
    return value


def _check_depth(value: Any, depth: int = 1) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise BadRequest(f"the body nests deeper than {MAX_DEPTH} levels")
    for member in value.values() if isinstance(value, dict) else value:
        if isinstance(member, dict | list):
            _check_depth(member, depth + 1)


def _check_text(text: str, value: Any) -> None:
    """An escaped half of a surrogate pair is no character, and nothing could store it."""
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        orjson.dumps(value)
    except TypeError:
        raise BadRequest("the body is not JSON: it holds an unpaired surrogate") from None


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"member {name!r} stands twice")
            seen.add(name)
    return members


def _int64(digits: str) -> int:
    # Longer than any 64-bit number: not even converted, which is slow for long ones.
    if len(digits) > 20 or (number := int(digits)) not in INT64:
        raise ValueError("a number does not fit in 64 bits")
    return number


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number does not fit in 64 bits")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def action_of(
    body: Mapping[str, Any], actions: Sequence[str], *, path: str, flat: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The first of `actions` that is a key of the body, with its parameters; tags at the top
    level replace those inside. `flat` names the action of a body without any key.

    Raises BadRequest with ZStack's text where there is none.
    """
    name = next((action for action in actions if action in body), None)
    if name is None:
        if flat is not None and "names" in body:
            return flat, dict(body)
        raise BadRequest(f"the body doesn't contain action mapping to the URL[{path}]")
    value = body[name]
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise BadRequest(f"the value of [{name}] must be a JSON object")
    tags = {key: body[key] for key in ("systemTags", "userTags") if key in body}
    return name, {**value, **tags}


def check_types(
    parameters: Mapping[str, Any],
    *,
    booleans: Sequence[str] = (),
    integers: Sequence[str] = (),
    lists: Sequence[str] = (),
) -> None:
    """ZStack's early checks, with its texts. Raises BadRequest."""
    for field in booleans:
        value = parameters.get(field)
        if value is None or isinstance(value, bool):
            continue
        if not (isinstance(value, str) and value.strip().lower() in {"true", "false"}):
            raise BadRequest(
                f"Invalid value for boolean field [{field}], [{_shown(value)}] is not a valid "
                "boolean string[true, false]."
            )
    for field in integers:
        value = parameters.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise BadRequest(
                f"[{field}] field is excepted an int or long, but was [{_shown(value)}]."
            )
    for field in lists:
        value = parameters.get(field)
        if value is not None and not isinstance(value, list):
            raise BadRequest(f"[{field}] field is expected a list, but was [{_shown(value)}].")


def _shown(value: Any) -> str:
    return str(value)[:100]
