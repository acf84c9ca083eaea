"""What `vmclone inventory discover` does: looks at this host, and applies what it saw if asked."""

from app.settings import Settings
from app.store.inventory import known
from app.store.session import Database
from workers.hypervisors import look_at_host
from workers.ops.discover.survey import Discovered, survey
from workers.ops.inventory.commands import Applied, apply_root
from workers.ops.inventory.document import compose_text

NAME = "discovered"  # stands for the file in errors


def discover(database: Database, host_name: str | None, uri: str) -> Discovered:
    """Raises InvalidArgument for another URI than the local system instance's, HostDisconnected
    where libvirt does not answer, ToolMissing without its binding."""
    view = look_at_host(uri)
    return database.run(
        lambda connection: survey(
            view, known.load(connection), known.adopted_vms(connection), host_name
        )
    )


def apply(database: Database, settings: Settings, discovered: Discovered) -> Applied:
    """Raises InvalidArgument where it contradicts what clones or other VMs have."""
    return apply_root(database, settings, compose_text(discovered.text, NAME), NAME)
