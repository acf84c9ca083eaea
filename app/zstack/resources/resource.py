"""What a resource is on the wire: its API, its class, its members, and what it relates to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.query import Hop, Kind

# Members that are no text, in all resources alike.
_KINDS = {
    Kind.INTEGER: (
        "actualSize executeTime availableCapacity availableCpuCapacity availableMemoryCapacity "
        "availablePhysicalCapacity cpuNum cpuSpeed deviceId diskSize internalId ipInLong ipVersion "
        "memorySize prefixLen size sortKey totalCapacity totalCpuCapacity totalMemoryCapacity "
        "totalPhysicalCapacity value"
    ),
    Kind.BOOLEAN: "enableIPAM inherent isDefault isShareable isolated system toPublic",
    Kind.MOMENT: "createDate expiredDate heartBeat joinDate lastOpDate",
    Kind.LIST: "attachedClusterUuids dns hostRoute networkServices",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def kind_of(member: str) -> Kind:
    return _KIND_OF.get(member, Kind.TEXT)


@dataclass(frozen=True, slots=True)
class Relation:
    """To the resource `to`, where its column `theirs` equals this one's column `own`; with `link`,
    that is a column of the rows that link both."""

    to: str
    own: str
    theirs: str
    link: Hop | None = None


def one(to: str, own: str) -> Relation:
    """The one that this resource names by uuid."""
    return Relation(to, own, "uuid")


def many(to: str, theirs: str) -> Relation:
    """All that name this resource by uuid."""
    return Relation(to, "uuid", theirs)


def through(to: str, source: str, near: str, far: str) -> Relation:
    """All whose uuid stands in `far` of a row of `source` that has this one's in `near`."""
    return Relation(to, far, "uuid", link=Hop(source, "uuid", near))


@dataclass(frozen=True, slots=True)
class Resource:
    """`source` names the rows in app.store.queries, whose columns the members show."""

    name: str  # its API is Query<name>
    java: str  # the class that a schema names
    source: str
    fields: Mapping[str, str]  # member -> column
    path: str | None = None  # below the REST root; None: shown in other inventories only
    relations: Mapping[str, Relation] = field(default_factory=dict)
    lists: tuple[str, ...] = ()  # the relations whose inventories are members of this one
    # Members that no column has as the wire wants them; they are shown and cannot be compared.
    computed: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    # The class where it depends on a column: (column, its value -> class).
    variants: tuple[str, Mapping[str, str]] | None = None

    @property
    def api(self) -> str:
        return f"Query{self.name}"

    @property
    def columns(self) -> frozenset[str]:
        """All that showing it takes."""
        joined = {self.relations[name].own for name in self.lists}
        return frozenset({"uuid", *self.fields.values(), *joined})

    def class_of(self, values: Mapping[str, Any]) -> str:
        if self.variants is None:
            return self.java
        column, classes = self.variants
        return classes.get(values[column], self.java)
