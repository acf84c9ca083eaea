"""Base sets: immutable copies of a source's volumes, all of one moment."""

from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.domain.plan import VolumeFormat
from app.domain.states import BaseSetState, WaitReason
from app.store.models.columns import (
    Moment,
    bytes_count,
    enum_of,
    json_value,
    loose_uuid,
    moment,
    reference,
    uuid_key,
)


class BaseSet(SQLModel, table=True):
    __tablename__ = "base_sets"
    __table_args__ = (
        # One base set is being made per source at a time.
        Index(
            "base_sets_one_in_making",
            "vm_instance_uuid",
            unique=True,
            postgresql_where=text("state IN ('Wanted', 'Making')"),
        ),
    )

    uuid: str = uuid_key()
    # The source, which may be gone by now: linked clones go on standing on its bases.
    vm_instance_uuid: str = loose_uuid(nullable=False, index=True)
    host_uuid: str = reference("hosts.uuid")  # the host whose worker makes and removes it
    with_data_volumes: bool = False
    state: BaseSetState = enum_of(BaseSetState, "base_set_state", default=BaseSetState.WANTED)
    fence: int = Field(default=0, sa_type=BigInteger)
    owner: str | None = None
    lease_until: Moment = moment()
    not_before: Moment = moment()
    published_at: Moment = moment()
    attempts: int = 0
    lapses: int = 0
    wait_reason: WaitReason | None = enum_of(WaitReason, "wait_reason", nullable=True)
    # KVM: what the source's clones are defined from, of the moment of the set.
    domain_xml: str | None = None  # inactive
    live_xml: str | None = None  # where it ran
    nvram: bytes | None = Field(default=None, sa_type=LargeBinary)
    tpm_state: bytes | None = Field(default=None, sa_type=LargeBinary)
    seed_target: str | None = None  # the target dev of the source's own seed
    domain_digest: str | None = None  # of the source's domain: another one asks for another set
    notes: list[str] | None = json_value()  # what its clones will lack
    needs: list[str] | None = json_value()  # of a host, in the words of `hosts.runs`
    consistency: str | None = None  # application, filesystem, crash or offline
    error: dict[str, Any] | None = json_value()
    created_at: Moment = moment(nullable=False)
    frozen_at: Moment = moment()
    last_used_at: Moment = moment(nullable=False)


class Base(SQLModel, table=True):
    __tablename__ = "bases"
    __table_args__ = (
        UniqueConstraint("base_set_uuid", "volume_uuid", name="bases_volume"),
        UniqueConstraint("install_path", name="bases_install_path"),
    )

    uuid: str = uuid_key()
    base_set_uuid: str = reference("base_sets.uuid", ondelete="CASCADE")
    volume_uuid: str = loose_uuid(nullable=False)  # the source volume, which may be gone by now
    primary_storage_uuid: str = reference("primary_storages.uuid")
    install_path: str
    format: VolumeFormat = enum_of(VolumeFormat, "volume_format")
    source_target: str | None = None  # KVM: the target dev of the source's disk
    virtual_size: int = bytes_count()
    actual_size: int | None = bytes_count(default=None, nullable=True)
    # What every file of the source's chain looked like when it was copied.
    handed_to: str | None = loose_uuid()  # the volume that the file itself becomes
    signature: list[dict[str, Any]] | None = json_value()
