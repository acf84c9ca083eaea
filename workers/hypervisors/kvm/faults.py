"""libvirt's errors as ours, in one table."""

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from app.domain.errors import CloneError, DomainBusy, HostDisconnected, OperationFailed

_GONE = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_DOMAIN_METADATA,
        libvirt.VIR_ERR_NO_NWFILTER,
    }
)
_DISCONNECTED = frozenset(
    {
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_AUTH_FAILED,
    }
)
_BUSY = frozenset(
    {
        libvirt.VIR_ERR_OPERATION_TIMEOUT,  # "cannot acquire state change lock"
        libvirt.VIR_ERR_BLOCK_COPY_ACTIVE,
        libvirt.VIR_ERR_RESOURCE_BUSY,
        libvirt.VIR_ERR_MIGRATE_UNSAFE,
    }
)


def is_gone(error: libvirt.libvirtError) -> bool:
    """What was asked for does not exist."""
    return error.get_error_code() in _GONE


def is_invalid_now(error: libvirt.libvirtError) -> bool:
    """The domain is in a state that does not allow this: running already, or not running."""
    return bool(error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID)


def is_disconnected(error: libvirt.libvirtError) -> bool:
    """The connection broke; what was asked for may have been done."""
    from_remote = error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}
    return from_remote or error.get_error_code() in _DISCONNECTED


@contextmanager
def meaning(doing: str, otherwise: type[CloneError] = OperationFailed) -> Iterator[None]:
    """Raises HostDisconnected, DomainBusy, else `otherwise`, with libvirt's words."""
    try:
        yield
    except libvirt.libvirtError as error:
        said = error.get_error_message()
        if is_disconnected(error):
            raise HostDisconnected(
                f"{doing}: libvirt does not answer ({said}); is libvirtd running on this host?"
            ) from error
        if error.get_error_code() in _BUSY:
            raise DomainBusy(f"{doing}: {said}; it is tried again") from error
        raise otherwise(f"{doing}: {said}") from error
