"""Who calls: accounts and their sessions."""

from enum import StrEnum

from sqlmodel import Field, SQLModel

from app.store.models.columns import (
    Moment,
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
    type: AccountType = enum_of(AccountType, "account_type")
    password_hash: str  # scrypt$n$r$p$salt$key of the SHA-512 that clients send
    weight: float = 1.0  # share of the slots beside other accounts
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Session(SQLModel, table=True):
    __tablename__ = "sessions"

    uuid: str = uuid_key()
    account_uuid: str = reference("accounts.uuid", ondelete="CASCADE", index=True)
    user_uuid: str = loose_uuid(nullable=False)
    created_at: Moment = moment(nullable=False)
    expires_at: Moment = moment(nullable=False)
