"""Rows that can be queried: where they come from, who sees them, in which order they are listed.

A rule of sight is SQL about the row of that alias, with the caller's account as `:account` and the
user who signed in as `:user`, which is the account where none of its users did. It holds for
accounts that are no admin's, and for the related rows that a condition looks at as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.store import shares

VM = "VmInstanceVO"
Rule = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Source:
    rows: str  # a table's name, or a SELECT in parentheses
    visible: Rule
    order: str = "created_at, uuid"  # among its siblings in another's inventory
    private: bool = False  # the rule holds for admins too


def infrastructure(row: str) -> str:  # noqa: ARG001
    """Each account sees it, as on ZStack."""
    return "TRUE"


def shared(kind: str, column: str = "uuid") -> Rule:
    """Networks, images and offerings are the admin's, and shown to whom they are shared with."""
    return lambda row: shares.visible(kind, f"{row}.{column}", ":account")


def owned(row: str) -> str:
    return f"{row}.account_uuid = :account"


def owned_or_shared(row: str) -> str:
    """A VM."""
    return f"{owned(row)} OR {shared(VM)(row)}"


def of_visible_vm(row: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM vm_instances owner WHERE owner.uuid = {row}.vm_instance_uuid "
        f"AND ({owned_or_shared('owner')}))"
    )


def owned_or_of_shared_vm(row: str) -> str:
    return f"{owned(row)} OR {shared(VM, 'vm_instance_uuid')(row)}"
