"""Queries in: the query string of ZStack's GETs, and the members of its legacy query messages."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from app.domain.query import Condition, Hop, Kind, Operator, Query, Sort, TagKind
from app.zstack.compared import compared
from app.zstack.forms import BadRequest
from app.zstack.resources import BY_NAME, Resource
from app.zstack.resources.resource import Relation, kind_of

T = TypeVar("T")
# The first of these that stands anywhere in a condition is its operator. ZStack's order.
OPERATORS = tuple(Operator)
_NULL_TESTS = frozenset({Operator.IS_NULL, Operator.NOT_NULL})
_LISTS = frozenset({Operator.IN, Operator.NOT_IN})
_OF_RPC = {
    "=": Operator.EQUAL,
    "!=": Operator.NOT_EQUAL,
    ">": Operator.GREATER,
    ">=": Operator.AT_LEAST,
    "<": Operator.LESS,
    "<=": Operator.AT_MOST,
    "in": Operator.IN,
    "not in": Operator.NOT_IN,
    "is null": Operator.IS_NULL,
    "is not null": Operator.NOT_NULL,
    "not null": Operator.NOT_NULL,
    "like": Operator.LIKE,
    "not like": Operator.NOT_LIKE,
}
_TAGS = {"__systemTag__": TagKind.SYSTEM, "__userTag__": TagKind.USER}
_SINGLE = ("limit", "start", "count", "replyWithCount", "sortBy", "sortDirection", "groupBy")
MAX_LIMIT = 10_000
MAX_CONDITIONS = 100
MAX_VALUES = 10_000  # of one list
MAX_FIELDS = 1000
MAX_HOPS = 5
MAX_INT64 = 2**63 - 1


def parse_query(resource: Resource, pairs: Sequence[tuple[str, str]]) -> Query:
    """`pairs` are the decoded parameters in order; names other than ours are ignored.

    Raises BadRequest for a condition without operator, an unknown field or a bad value.
    """
    single = dict(pairs)
    return Query(
        conditions=[
            _condition(resource, text) for text in _few([v for name, v in pairs if name == "q"])
        ],
        limit=_integer(single, "limit", 1000, MAX_LIMIT),
        start=_integer(single, "start", 0, MAX_INT64),
        sort=_sort(resource, single.get("sort")),
        group_by=_group(resource, single.get("groupBy")),
        fields=_fields(resource, (single.get("fields") or "").split(",")),
        count_only=_flag(single.get("count")),
        with_total=_flag(single.get("replyWithCount")),
    )


def query_of_rpc(resource: Resource, members: Mapping[str, Any]) -> Query:
    """`members` of an APIQuery…Msg. Raises BadRequest as `parse_query`, and for members of
    another JSON type than they should have."""
    conditions, fields = members.get("conditions") or [], members.get("fields") or []
    if not isinstance(conditions, list) or not isinstance(fields, list):
        raise BadRequest("Invalid query. conditions and fields are lists")
    single = {name: _text(members[name]) for name in _SINGLE if members.get(name) is not None}
    descending = single.get("sortDirection", "").lower() == "desc"
    sort_by = single.get("sortBy")
    return Query(
        conditions=[_condition_of_rpc(resource, condition) for condition in _few(conditions)],
        limit=_integer(single, "limit", 1000, MAX_LIMIT),
        start=_integer(single, "start", 0, MAX_INT64),
        sort=Sort(_column(resource, sort_by), descending=descending) if sort_by else None,
        group_by=_group(resource, single.get("groupBy")),
        fields=_fields(resource, [_text(name) for name in fields]),
        count_only=_flag(single.get("count")),
        with_total=_flag(single.get("replyWithCount")),
    )


def uuid_is(uuid: str) -> Condition:
    return Condition("uuid", Kind.TEXT, Operator.EQUAL, uuid)


def _condition(resource: Resource, text: str) -> Condition:
    operator = next((candidate for candidate in OPERATORS if candidate in text), None)
    if operator is None:
        raise BadRequest(
            f"Invalid query parameter. The '{text[:100]}' in the parameter[q] doesn't contain any "
            f"query operator[{', '.join(OPERATORS)}]"
        )
    name, _, value = text.partition(operator)
    return _made(resource, name.strip(), operator, value)


def _condition_of_rpc(resource: Resource, condition: Any) -> Condition:
    if not isinstance(condition, dict):
        raise BadRequest("Invalid query. A condition is an object with name, op and value")
    name, sign, value = (condition.get(key) for key in ("name", "op", "value"))
    operator = _OF_RPC.get(_text(sign).strip().lower())
    if operator is None:
        raise BadRequest(
            f"Invalid query. [{_text(sign)[:100]}] is no operator; these are: {', '.join(_OF_RPC)}"
        )
    if value is None and operator not in _NULL_TESTS:
        raise BadRequest(f"'value' of query condition on [{_text(name)[:100]}] cannot be null")
    if isinstance(value, list):
        value = ",".join(map(_text, value))
    return _made(resource, _text(name).strip(), operator, _text(value))


def _made(resource: Resource, path: str, operator: Operator, value: str) -> Condition:
    hops, owner, name = _followed(resource, path)
    column = _TAGS.get(name) or _column(owner, name, path)
    kind = Kind.LIST if name in _TAGS else kind_of(name)
    if operator in _NULL_TESTS:
        return Condition(column, kind, operator, None, hops)
    if operator in _LISTS:
        if value.count(",") >= MAX_VALUES:
            raise BadRequest(
                f"Invalid query. The list of [{path}] has more than {MAX_VALUES} values"
            )
        values = [compared(name, kind, operator, part) for part in value.split(",")]
        return Condition(column, kind, operator, values, hops)
    return Condition(column, kind, operator, compared(name, kind, operator, value), hops)


def _followed(resource: Resource, path: str) -> tuple[tuple[Hop, ...], Resource, str]:
    """The relations of a dotted path, the resource at its end, and the member it names there."""
    *names, member = path.split(".")
    if len(names) > MAX_HOPS:
        raise BadRequest(f"Invalid query parameter. [{path[:100]}] has more than {MAX_HOPS} dots")
    hops: list[Hop] = []
    for name in names:
        relation = resource.relations.get(name)
        if relation is None:
            raise _unknown(resource, path, name)
        hops += _hops(relation)
        resource = BY_NAME[relation.to]
    return tuple(hops), resource, member


def _hops(relation: Relation) -> list[Hop]:
    last = Hop(BY_NAME[relation.to].source, relation.own, relation.theirs)
    return [relation.link, last] if relation.link else [last]


def _column(resource: Resource, name: str, path: str | None = None) -> str:
    column = resource.fields.get(name)
    if column is None:
        raise _unknown(resource, path or name, name)
    return column


def _unknown(resource: Resource, path: str, name: str) -> BadRequest:
    related = [f"{relation}.…" for relation in resource.relations]
    where = f" of {resource.name}" if path == name else f": {resource.name} has no {name[:100]}"
    return BadRequest(
        f"Invalid query parameter. [{path[:100]}] is not a queryable field{where}; these are: "
        f"{', '.join([*resource.fields, *related])}"
    )


def _integer(single: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = single.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(
            f"Invalid query parameter. The parameter[{name}] must be an integer, but was "
            f"[{text[:100]}]"
        )
    return min(int(text), most)


def _sort(resource: Resource, text: str | None) -> Sort | None:
    """`+` arrives as a space where the caller did not encode it."""
    if not text:
        return None
    column = _column(resource, text.lstrip("+- ").strip())
    return Sort(column, descending=text.startswith("-"))


def _group(resource: Resource, text: str | None) -> str | None:
    return _column(resource, text.strip()) if text else None


def _fields(resource: Resource, names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > MAX_FIELDS:
        raise BadRequest(f"Invalid query. It has more than {MAX_FIELDS} fields")
    fields = tuple(name.strip() for name in names if name.strip())
    for name in fields:
        if name not in resource.lists and name not in resource.computed:
            _column(resource, name)
    return fields


def _few(conditions: list[T]) -> list[T]:
    """Judged before they are read."""
    if len(conditions) > MAX_CONDITIONS:
        raise BadRequest(f"Invalid query. It has more than {MAX_CONDITIONS} conditions")
    return conditions


def _flag(text: str | None) -> bool:
    return text is not None and text.strip().lower() == "true"


def _text(value: Any) -> str:
    """JSON's plain values as a query string would have them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadRequest("Invalid query. A text or a number is expected where an object or list stands")
