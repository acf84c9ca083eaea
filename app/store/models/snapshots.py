"""The journal of snapshots that hold running sources still."""

from typing import Any

from sqlmodel import SQLModel

from app.store.models.columns import Moment, json_value, moment, reference, uuid_key


class SourceSnapshot(SQLModel, table=True):
    """One snapshot of a source, written before it is taken and kept until every disk is back where
    it was: a debt of its base set, which is paid under that set's lease and fence."""

    __tablename__ = "source_snapshots"

    vm_instance_uuid: str = uuid_key()  # the source's: it has one at a time
    base_set_uuid: str = reference("base_sets.uuid", index=True)
    domain_uuid: str  # the hypervisor's own name of the source
    disks: list[dict[str, Any]] = json_value(nullable=False)  # of app.domain.snapshots.FrozenDisk
    suspended: bool = False  # by us, to let a commit catch up: the guest is to be resumed
    frozen_at: Moment = moment()
    # The disks are back; a file is left, which libvirt still names.
    paid_at: Moment = moment()
    tries: int = 0
    not_before: Moment = moment()
    published_at: Moment = moment()
    error: dict[str, Any] | None = json_value()  # of the last try to pay
    created_at: Moment = moment(nullable=False)
