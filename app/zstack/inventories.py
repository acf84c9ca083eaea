"""Records as ZStack's inventories: field by field, null members left out, integers as integers,
and the `schema` that names their classes."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from app.domain.query import Hop, Record, Shape
from app.zstack.dates import format_date
from app.zstack.resources import BY_NAME, Resource


def shape_of(resource: Resource, fields: Sequence[str] = ()) -> Shape:
    """What the store must read to show these members; none named: all of them."""
    lists = {}
    for name in resource.lists:
        if not fields or name in fields:
            relation = resource.relations[name]
            child = BY_NAME[relation.to]
            lists[name] = (Hop(child.source, relation.own, relation.theirs), shape_of(child))
    return Shape(resource.source, resource.columns, lists)


def inventory(resource: Resource, record: Record, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Empty lists stay. `fields`: only these members."""
    values = record.values
    members: dict[str, Any] = {}
    for name, column in resource.fields.items():
        value = values[column]
        if value is not None:
            members[name] = format_date(value) if isinstance(value, datetime) else value
    for name, compute in resource.computed.items():
        members[name] = compute(values)
    for name, related in record.lists.items():
        child = BY_NAME[resource.relations[name].to]
        members[name] = [inventory(child, one) for one in related]
    if fields:
        return {name: value for name, value in members.items() if name in fields}
    return members


def paths(path: str, resource: Resource, record: Record) -> Iterator[tuple[str, str]]:
    """Path to server class, parents before children, only for what is present: the Java SDK
    overwrites a child that precedes its parent and fails on an absent path."""
    yield path, resource.class_of(record.values)
    for name, related in record.lists.items():
        child = BY_NAME[resource.relations[name].to]
        for number, one in enumerate(related):
            yield from paths(f"{path}.{name}[{number}]", child, one)
