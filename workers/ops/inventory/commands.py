"""What `vmclone inventory` does: a document becomes rows, and rows are changed by name."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from yaml import Node

from app.domain.errors import InvalidArgument
from app.settings import Settings
from app.store.accounts import ADMIN_UUID, has_admin
from app.store.inventory import edit, known
from app.store.inventory.holdings import Overprovisioning
from app.store.inventory.rows import InventoryConflict
from app.store.inventory.values import Inventory, Kind
from app.store.inventory.write import stop_grants, write
from app.store.models import ResourceState
from app.store.session import Database
from workers.ops.inventory.document import Problems, compose
from workers.ops.inventory.files import size_of
from workers.ops.inventory.reader import read
from workers.ops.inventory.shelves import Shelves, open_shelves


@dataclass(frozen=True, slots=True)
class Applied:
    entries: tuple[tuple[Kind, str, str], ...]  # (kind, name, uuid) of all that is declared
    warnings: tuple[str, ...]


def apply(database: Database, settings: Settings, file: Path) -> Applied:
    """What the file declares is in the database.

    Raises InvalidArgument with a line `file:line:column: text` for each thing that is wrong;
    then nothing was written.
    """
    return apply_root(database, settings, compose(file), str(file))


def apply_root(database: Database, settings: Settings, root: Node, name: str) -> Applied:
    """The same of a composed document; `name` stands for the file in errors."""

    def work(connection: Connection) -> Applied:
        stop_grants(connection)
        problems = Problems(name)
        shelves = open_shelves(known.load(connection), size_of)
        inventory = read(root, shelves, problems)
        problems.raise_if_any()
        if inventory.vms:
            _require_admin(connection)
        _write(connection, settings, root, inventory, shelves, problems)
        return Applied(tuple(inventory.entries()), tuple(shelves.warnings))

    return database.run(work)


def set_state(database: Database, kind: str, name: str, state: str) -> str:
    """The uuid of what is now in that state. Raises ResourceNotFound."""
    return database.run(
        lambda connection: edit.set_state(connection, Kind(kind), name, ResourceState(state))
    )


def remove(database: Database, kind: str, name: str) -> str:
    """The uuid that is gone. Raises ResourceNotFound, InvalidArgument where something uses it."""

    def work(connection: Connection) -> str:
        stop_grants(connection)
        return edit.remove(connection, Kind(kind), name)

    return database.run(work)


def _require_admin(connection: Connection) -> None:
    """Declared VMs are the admin's. The API makes the account, because it knows the password."""
    if not has_admin(connection):
        raise InvalidArgument(
            "the database has no admin account yet, whom the VMs would belong to: start the API "
            "once (`vmclone up` or `vmclone api`), then apply again"
        )


def _write(
    connection: Connection,
    settings: Settings,
    root: Node,
    inventory: Inventory,
    shelves: Shelves,
    problems: Problems,
) -> None:
    try:
        write(
            connection,
            inventory,
            account_uuid=ADMIN_UUID,
            overprovisioning=Overprovisioning(
                settings.cpu_overprovisioning, settings.memory_overprovisioning
            ),
        )
    except InventoryConflict as exc:
        for conflict in exc.conflicts:
            # A host that the document does not declare may be too small for a VM that it does.
            node = shelves.node_of(conflict.kind, conflict.name) or root
            problems.add(node, f"{conflict.kind} '{conflict.name}': {conflict.text}")
        problems.raise_if_any()
