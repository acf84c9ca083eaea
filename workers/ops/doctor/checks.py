"""`vmclone doctor`: what an installation needs, each line in order or with what to do."""

from collections.abc import Iterator

import redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.errors import CloneError
from app.domain.plan import HypervisorType
from app.endpoints import broker_url
from app.queue import CONTROL_SEEN_KEY
from app.settings import Settings
from app.store import audit, hosts
from app.store.hosts import SEEN_WITHIN_S
from app.store.migrate import head_revision, revision_of
from app.store.session import Database
from workers.ops.doctor.findings import Check
from workers.ops.doctor.kvm import HostNetwork, check_host
from workers.storage import open_storage

_NO_REFLINKS = "clones are linked or full; XFS and btrfs have them"


def check_all(database: Database, settings: Settings, machine_id: str) -> Iterator[Check]:
    """In the order in which one needs the other; the rest is left out once the database fails."""
    try:
        with database.single() as connection:
            version = connection.scalar(text("SHOW server_version"))
    except DBAPIError as error:
        yield Check("database", False, f"{str(error.orig).strip()}; start it, or correct its URL")
        return
    yield Check("database", True, f"PostgreSQL {version}")
    yield _migrations(database)
    yield from _broker(settings)
    yield _hosts(database)
    yield from _on_this_machine(database, settings, machine_id)


def _migrations(database: Database) -> Check:
    found, wanted = revision_of(database.engine), head_revision()
    if found == wanted:
        return Check("migrations", True, f"at {found}")
    return Check("migrations", False, f"at {found}, this version needs {wanted}: vmclone migrate")


def _broker(settings: Settings) -> Iterator[Check]:
    try:
        with redis.Redis.from_url(broker_url(settings), socket_timeout=2) as broker:
            broker.ping()
            alive = broker.get(CONTROL_SEEN_KEY)
    except redis.RedisError as error:
        yield Check("broker", False, f"{error}; start it: jobs wait, and nothing is lost")
        return
    yield Check("broker", True, "answers")
    yield Check(
        "control worker",
        alive is not None,
        "alive" if alive else "none was seen for seconds: start vmclone worker --control",
    )


def _hosts(database: Database) -> Check:
    with database.single() as connection:
        rows = connection.execute(
            text(
                "SELECT name, COALESCE(seen_at > clock_timestamp() - make_interval(secs => :s), "
                "FALSE) AS seen FROM hosts WHERE state = 'Enabled' ORDER BY name"
            ),
            {"s": SEEN_WITHIN_S},
        ).all()
    lost = [row.name for row in rows if not row.seen]
    if lost:
        return Check("hosts", False, f"nobody serves {', '.join(lost)}: start vmclone worker there")
    return Check("hosts", True, f"{len(rows)} served")


def _on_this_machine(database: Database, settings: Settings, machine_id: str) -> Iterator[Check]:
    with database.single() as connection:
        served = audit.served(connection, machine_id)
        networks = {h.uuid: audit.networks_of(connection, h.uuid) for h in served.hosts}
        seen = {h.uuid: hosts.storages_of(connection, [h.uuid]) for h in served.hosts}
    for host in served.hosts:
        if host.hypervisor_type is HypervisorType.KVM:
            yield from check_host(
                host,
                [storage.ref for storage in seen[host.uuid] if storage.initialized],
                [HostNetwork(*network) for network in networks[host.uuid]],
                settings,
            )
    for storage in served.storages:
        try:
            facts = open_storage(storage, settings).facts()
        except CloneError as error:
            yield Check(f"storage {storage.url}", False, error.details)
            continue
        share = facts.free_bytes / facts.total_bytes if facts.total_bytes else 0
        enough = share > settings.storage_keep_free
        copies = "reflinks" if facts.reflink else f"no reflinks, {_NO_REFLINKS}"
        text_ = f"{facts.free_bytes >> 30} GiB free ({share:.0%}), {copies}"
        if not enough:
            text_ += f"; below the stop line of {settings.storage_keep_free:.0%}: free some space"
        yield Check(f"storage {storage.url}", enough, text_)
