"""What a document may refer to: its own entries, then those that the database has already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from uuid import UUID, uuid5

from yaml import Node

from app.domain.plan import BackingFile, VolumeFormat
from app.store.inventory.known import Known
from app.store.inventory.values import (
    Cluster,
    DeclaredVm,
    DiskOffering,
    Host,
    Image,
    Kind,
    Network,
    Offering,
    Storage,
    Zone,
)
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Fields

_NAMESPACE = UUID("6f1b7c1e-3c58-5f1d-9a39-6d2f0c7d4e11")

# The virtual size of an image file (path, format, the file below it) that this machine can read,
# else None; ValueError if the file is there and is not what it is declared to be.
SizeOf = Callable[[str, VolumeFormat, BackingFile | None], int | None]


def derived_uuid(*names: str) -> str:
    """The same names give the same uuid on every machine: version 5, 32 hex digits."""
    return uuid5(_NAMESPACE, "/".join(names)).hex


class Named(Protocol):
    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Claims:
    """What only one thing in the document may have: a name, an address, a file."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], Node] = {}

    def claim(self, fields: Fields, node: Node, what: str, *key: str) -> None:
        """A problem at `node` if an earlier line has it."""
        first = self._first.setdefault((what, *key), node)
        if first is not node:
            line = first.start_mark.line + 1
            fields.problem(node, f"{what} '{node.value}' is used on line {line} already")


class Shelf(Generic[T]):
    """The entries of one kind."""

    def __init__(self, kind: Kind, known: Mapping[str, T], known_uuids: Mapping[str, str]) -> None:
        self.kind = kind
        self.known = known
        self.declared: dict[str, T] = {}
        self.nodes: dict[str, Node] = {}  # where each declared entry stands
        self._known_uuids = known_uuids
        self._seen: set[str] = set()

    def identity(self, fields: Fields, claims: Claims) -> tuple[str, str]:
        """(uuid, name) of the entry that is being read: its own uuid, the one its name has in
        the database, or one that follows from kind and name."""
        name = fields.required("name", scalars.name, "")
        self._seen.add(name)
        if name:
            claims.claim(fields, fields.place_of("name"), f"the {self.kind} name", name)
        known = self._known_uuids.get(name)
        uuid = fields.optional("uuid", scalars.uuid, None)
        if uuid:
            claims.claim(fields, fields.place_of("uuid"), "the uuid", uuid)
            if known and known != uuid:
                fields.problem(
                    fields.place_of("uuid"), f"is known by the uuid {known}; a uuid cannot change"
                )
        return uuid or known or derived_uuid(self.kind, name), name

    @property
    def incomplete(self) -> bool:
        """Some entry has mistakes of its own, so that what follows from all of them is unknown."""
        return not self._seen <= self.declared.keys()

    def before(self, uuid: str) -> T | None:
        """The entry as the database has it."""
        return next((entry for entry in self.known.values() if entry.uuid == uuid), None)

    def everything(self) -> list[T]:
        """Declared and known; a declared entry hides what it updates."""
        entries = {entry.uuid: entry for entry in self.known.values()}
        entries |= {entry.uuid: entry for entry in self.declared.values()}
        return list(entries.values())

    def find(self, fields: Fields, node: Node, name: str) -> T | None:
        """None after telling why, or where that was told at the entry itself."""
        found = self.declared.get(name)
        if found is None and name not in self._seen:
            found = self.known.get(name)
            if found is None:
                names = ", ".join(sorted({*self.declared, *self.known})) or "none"
                fields.problem(node, f"there is no {self.kind} '{name}'; declared are: {names}")
        fields.broken |= found is None
        return found

    def required(self, fields: Fields, key: str) -> T | None:
        name = fields.required(key, scalars.name, "")
        return self.find(fields, fields.place_of(key), name) if name else None

    def optional(self, fields: Fields, key: str) -> T | None:
        name = fields.optional(key, scalars.name, None)
        return self.find(fields, fields.place_of(key), name) if name else None

    def several(self, fields: Fields, key: str) -> list[T]:
        found = [self.find(fields, node, name) for node, name in fields.texts(key, scalars.name)]
        return list({entry.uuid: entry for entry in found if entry is not None}.values())


@dataclass(slots=True)
class Shelves:
    zones: Shelf[Zone]
    clusters: Shelf[Cluster]
    hosts: Shelf[Host]
    storages: Shelf[Storage]
    networks: Shelf[Network]
    images: Shelf[Image]
    offerings: Shelf[Offering]
    disk_offerings: Shelf[DiskOffering]
    vms: Shelf[DeclaredVm]
    size_of: SizeOf
    claims: Claims = field(default_factory=Claims)
    warnings: list[str] = field(default_factory=list)

    def node_of(self, kind: Kind, name: str) -> Node | None:
        """Where the document declares it, if it does."""
        shelves = (
            *(self.zones, self.clusters, self.hosts, self.storages, self.networks),
            *(self.images, self.offerings, self.disk_offerings, self.vms),
        )
        return next(shelf.nodes.get(name) for shelf in shelves if shelf.kind is kind)


def open_shelves(known: Known, size_of: SizeOf) -> Shelves:
    there = known.inventory

    def shelf(kind: Kind, entries: Mapping[str, T]) -> Shelf[T]:
        return Shelf(kind, entries, {name: entry.uuid for name, entry in entries.items()})

    return Shelves(
        zones=shelf(Kind.ZONE, there.zones),
        clusters=shelf(Kind.CLUSTER, there.clusters),
        hosts=shelf(Kind.HOST, there.hosts),
        storages=shelf(Kind.STORAGE, there.storages),
        networks=shelf(Kind.NETWORK, there.networks),
        images=shelf(Kind.IMAGE, there.images),
        offerings=shelf(Kind.OFFERING, there.offerings),
        disk_offerings=shelf(Kind.DISK_OFFERING, there.disk_offerings),
        vms=Shelf(Kind.VM, there.vms, known.vm_uuids),
        size_of=size_of,
    )


def stays(fields: Fields, key: str, what: str, before: object, now: object) -> None:
    """A problem if a known entry would get another value than it has."""
    if before != now:
        fields.problem(
            fields.place_of(key),
            f"{what} is {before} and cannot become {now}; remove the entry "
            "(`vmclone inventory remove`) or declare a new one",
        )
