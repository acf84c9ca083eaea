"""Who calls: accounts, their users, sessions and access keys; what they share, and their quotas."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.store.models.columns import (
    Moment,
    bytes_count,
    enum_of,
    loose_uuid,
    moment,
    reference,
    uuid_key,
)


class AccountType(StrEnum):
    SYSTEM_ADMIN = "SystemAdmin"
    NORMAL = "Normal"


class Account(SQLModel, table=True):
    __tablename__ = "accounts"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = Field(default=None, max_length=2048)
    type: AccountType = enum_of(AccountType, "account_type")
    password_hash: str  # scrypt$n$r$p$salt$key of the SHA-512 that clients send
    weight: float = 1.0  # share of the slots beside other accounts
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class User(SQLModel, table=True):
    """Signs in with a password of its own and acts for its account."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("account_uuid", "name", name="users_name"),)

    uuid: str = uuid_key()
    account_uuid: str = reference("accounts.uuid", ondelete="CASCADE")
    name: str = Field(max_length=255)
    description: str | None = Field(default=None, max_length=2048)
    password_hash: str  # as an account's
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Session(SQLModel, table=True):
    """`user_uuid` is the account's own uuid where the account itself signed in."""

    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_user", "user_uuid"),)

    uuid: str = uuid_key()
    account_uuid: str = reference("accounts.uuid", ondelete="CASCADE", index=True)
    user_uuid: str = loose_uuid(nullable=False)
    created_at: Moment = moment(nullable=False)
    expires_at: Moment = moment(nullable=False)


class AccessKey(SQLModel, table=True):
    """The secret is not here: it is derived from the key file and `salt` (store.access_keys)."""

    __tablename__ = "access_keys"

    uuid: str = uuid_key()
    access_key_id: str = Field(max_length=20, unique=True)
    account_uuid: str = reference("accounts.uuid", ondelete="CASCADE", index=True)
    user_uuid: str = loose_uuid(nullable=False)
    description: str | None = Field(default=None, max_length=2048)
    salt: str = Field(max_length=32)
    key_file: str = Field(max_length=16)  # the fingerprint of the key file it was made with
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class SharedResource(SQLModel, table=True):
    """Whoever receives it, or everybody, may see and use it; it stays its owner's."""

    __tablename__ = "shared_resources"
    __table_args__ = (
        UniqueConstraint(
            "resource_uuid",
            "receiver_account_uuid",
            name="shared_resources_unique",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint(
            "to_public = (receiver_account_uuid IS NULL)", name="shared_resources_receiver"
        ),
        Index("shared_resources_receiver_account", "receiver_account_uuid", "resource_type"),
        Index("shared_resources_public", "resource_type", postgresql_where=text("to_public")),
    )

    uuid: str = uuid_key()
    owner_account_uuid: str = reference("accounts.uuid", ondelete="CASCADE", index=True)
    receiver_account_uuid: str | None = reference(
        "accounts.uuid", nullable=True, ondelete="CASCADE"
    )
    to_public: bool = False
    # ZStack's: VmInstanceVO, L3NetworkVO, ImageVO, InstanceOfferingVO, DiskOfferingVO.
    resource_type: str
    resource_uuid: str = loose_uuid(nullable=False)
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class QuotaName(StrEnum):
    """ZStack's names, in its order of checks."""

    VM_TOTAL_NUM = "vm.totalNum"
    VM_NUM = "vm.num"  # that run
    VM_CPU_NUM = "vm.cpuNum"  # of those
    VM_MEMORY_SIZE = "vm.memorySize"  # of those, bytes
    DATA_VOLUME_NUM = "volume.data.num"
    VOLUME_CAPACITY = "volume.capacity"  # virtual bytes of root and data volumes


EVERY_ACCOUNT = ""  # the account_uuid of a default


class Quota(SQLModel, table=True):
    """Without a row of its own an account has the default's; without that no limit."""

    __tablename__ = "quotas"
    __table_args__ = (
        PrimaryKeyConstraint("account_uuid", "name"),
        CheckConstraint("value >= -1", name="quotas_value"),
    )

    account_uuid: str = Field(max_length=32)  # empty: of every account without one of its own
    name: str = Field(max_length=32)
    value: int = bytes_count()  # -1: no limit
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)
