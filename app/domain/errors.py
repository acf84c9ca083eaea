"""Everything that can go wrong, one class per thing a caller or operator would treat differently.

CloneError
├── InternalError             SYS.1000   a defect of ours; its text never leaves the log
├── OperationTimeout          SYS.1001
├── ResourceNotFound          SYS.1003
├── OperationFailed           SYS.1006   wraps the reason why one clone failed
├── InvalidArgument           SYS.1007
├── NotReady                  SYS.1010
├── NotImplementedHere        SYS.1014
├── OperationCanceled         SYS.1017
├── AuthenticationFailed      ID.1000
├── SessionInvalid            ID.1001
├── PermissionDenied          ID.1002
├── QuotaExceeded             ID.1003
├── InvalidQuota              ID.1004
├── TooManySessions           ID.1006
├── NoMacAvailable            VM.1009
├── VmStateNotAllowed         VM.1010
├── NoHostAvailable           HOST_ALLOCATION.1000
├── AddressUnavailable        L3.1000
├── PrimaryStorageFull        PS.1000
├── StorageUnavailable        PS.1003    retried
├── HostDisconnected          HOST.1010  retried
├── VmStartFailed             HOST.1005
├── LongJobNotCancelable      LONG_JOB.1001
├── LongJobNotSupported       LONG_JOB.1003
├── SourceVolumeMissing       CLONE.1001
├── SourceVolumeInvalid       CLONE.1002
├── SourceVolumeBusy          CLONE.1003 retried
├── VolumeIOError       CLONE.1004 retried
├── StorageUnreachable        CLONE.1005
├── ToolMissing               CLONE.1006
├── UndoFailed                CLONE.1007
├── TooManyAttempts           CLONE.1008
├── TooManyLapses             CLONE.1009
├── SiblingFailed             CLONE.1010
├── TooManyFailures           CLONE.1011
├── DomainBusy                CLONE.1012 retried
├── SourceNotCloneable        CLONE.1013
├── NetworkMissing            CLONE.1014
├── ForeignDomain             CLONE.1015
├── SnapshotOutgrown          CLONE.1016 retried
└── KeyFileUnusable           CLONE.1040

Codes and descriptions are ZStack's where it has one; `CLONE.*` are ours. None is used twice, and
docs/errors.md lists them all. `retryable` says whether the same work may succeed a little later.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

# What a caller wrote stands in many a text, and these fit into no column.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """ZStack's ErrorCode as a value. `opaque` holds facts a program may read."""

    code: str
    description: str
    details: str
    cause: "ErrorCode | None" = None
    opaque: dict[str, Any] | None = None


class CloneError(Exception):
    """An operation failed."""

    code: ClassVar[str]
    description: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self, details: str | None = None, *, cause: "CloneError | None" = None, **facts: Any
    ) -> None:
        """`details` says what happened to which thing and what to do; it defaults to the
        docstring. `facts` travel as ErrorCode.opaque."""
        self.details = _UNSTORABLE.sub("\ufffd", details or (type(self).__doc__ or "").strip())
        self.cause = cause
        self.facts = facts
        super().__init__(self.details)

    @property
    def error_code(self) -> ErrorCode:
        return ErrorCode(
            code=self.code,
            description=self.description,
            details=self.details,
            cause=self.cause.error_code if self.cause else None,
            opaque=self.facts or None,
        )


class InternalError(CloneError):
    """An internal error happened; the server's log has the particulars under the job's uuid."""

    code = "SYS.1000"
    description = "An internal error happened in system"


class OperationTimeout(CloneError):
    """The operation did not end before its deadline."""

    code = "SYS.1001"
    description = "A message or a operation timeout"


class ResourceNotFound(CloneError):
    """A resource that the request names does not exist."""

    code = "SYS.1003"
    description = "A resource can not be found"


class OperationFailed(CloneError):
    """The operation failed; `cause` says why."""

    code = "SYS.1006"
    description = "An operation failed"


class InvalidArgument(CloneError):
    """A parameter of the request is not valid."""

    code = "SYS.1007"
    description = "One or more API argument is invalid"


class NotReady(CloneError):
    """Database, broker or control worker is away; /readyz says which."""

    code = "SYS.1010"
    description = "Management node is not ready"


class NotImplementedHere(CloneError):
    """vmclone does not do this."""

    code = "SYS.1014"
    description = "The operation is not implemented"


class OperationCanceled(CloneError):
    """The operation was cancelled."""

    code = "SYS.1017"
    description = "A message or a operation cancelled"


class AuthenticationFailed(CloneError):
    """wrong account name or password"""

    code = "ID.1000"
    description = "Unable to authenticate a user"


class SessionInvalid(CloneError):
    """Session expired"""

    code = "ID.1001"
    description = "The session is invalid, either wrong session id or the session has been expired"


class PermissionDenied(CloneError):
    """The account may not do this."""

    code = "ID.1002"
    description = "The user doesn't have permission to perform the operation"


class QuotaExceeded(CloneError):
    """The request exceeds a quota of the account."""

    code = "ID.1003"
    description = "The user exceeds a quota of a resource"


class InvalidQuota(CloneError):
    """There is no such quota, or it cannot have this value."""

    code = "ID.1004"
    description = "Invalid quota operation"


class TooManySessions(CloneError):
    """The account has too many sessions; log out of some or wait for one to expire."""

    code = "ID.1006"
    description = "Max number of active sessions exceeded"


class NoMacAvailable(CloneError):
    """No MAC address could be found for a NIC."""

    code = "VM.1009"
    description = "Unable to allocate a mac address for vm's nic"


class VmStateNotAllowed(CloneError):
    """The VM's state does not allow the operation."""

    code = "VM.1010"
    description = "VM is not in state that allows required operation"


class NoHostAvailable(CloneError):
    """No host can take the clone."""

    code = "HOST_ALLOCATION.1000"
    description = "No available host found"


class AddressUnavailable(CloneError):
    """No address is free on the L3 network."""

    code = "L3.1000"
    description = "Unable to allocate an ip address from L3Network"


class PrimaryStorageFull(CloneError):
    """The primary storage has no room for the volume."""

    code = "PS.1000"
    description = (
        "Unable to allocate a primary storage that has available space for required volume"
    )


class StorageUnavailable(CloneError):
    """The primary storage cannot be used now; is it mounted on the host?"""

    code = "PS.1003"
    description = "The primary storage is disconnected"
    retryable = True


class HostDisconnected(CloneError):
    """The host cannot be reached now."""

    code = "HOST.1010"
    description = "host disconnected"
    retryable = True


class VmStartFailed(CloneError):
    """The hypervisor could not start the VM."""

    code = "HOST.1005"
    description = "Failed to start vm on hypervisor"


class LongJobNotCancelable(CloneError):
    """The long job has ended."""

    code = "LONG_JOB.1001"
    description = "Long job cannot be canceled"


class LongJobNotSupported(CloneError):
    """The API cannot be run as a long job."""

    code = "LONG_JOB.1003"
    description = "Long job is not supported"


class SourceVolumeMissing(CloneError):
    """A file of the source volume does not exist."""

    code = "CLONE.1001"
    description = "The source volume's file is missing"


class SourceVolumeInvalid(CloneError):
    """A file of the source volume is not what it is declared to be."""

    code = "CLONE.1002"
    description = "The source volume's file is not valid"


class SourceVolumeBusy(CloneError):
    """The source volume is open for writing elsewhere."""

    code = "CLONE.1003"
    description = "The source volume is in use"
    retryable = True


class VolumeIOError(CloneError):
    """The storage answered a read or write with an I/O error."""

    code = "CLONE.1004"
    description = "Reading or writing a volume failed"
    retryable = True


class StorageUnreachable(CloneError):
    """The host that holds the source does not reach the target primary storage."""

    code = "CLONE.1005"
    description = "The target storage cannot be reached from the source"


class ToolMissing(CloneError):
    """A program that this needs is not installed on the host."""

    code = "CLONE.1006"
    description = "A required program is missing on the host"


class UndoFailed(CloneError):
    """Taking back a step failed; it is tried again until nothing is left."""

    code = "CLONE.1007"
    description = "A rollback could not be completed"


class TooManyAttempts(CloneError):
    """A passing fault came back too often; `cause` is the last one."""

    code = "CLONE.1008"
    description = "A step was retried too often"


class TooManyLapses(CloneError):
    """The workers that had this clone in hand died or stalled too often."""

    code = "CLONE.1009"
    description = "Too many workers were lost over this clone"


class SiblingFailed(CloneError):
    """Another name of the job did not come to be, and its policy is allOrNothing."""

    code = "CLONE.1010"
    description = "Another clone of an all-or-nothing job failed"


class TooManyFailures(CloneError):
    """More names of the job have failed than its policy's maxFailures allows."""

    code = "CLONE.1011"
    description = "Too many clones of the job failed"


class DomainBusy(CloneError):
    """Another operation on the domain is under way."""

    code = "CLONE.1012"
    description = "The domain is busy"
    retryable = True


class SourceNotCloneable(CloneError):
    """The source VM has something that a clone cannot have as well."""

    code = "CLONE.1013"
    description = "The source VM cannot be cloned"


class NetworkMissing(CloneError):
    """The host has no such bridge or libvirt network."""

    code = "CLONE.1014"
    description = "A network of the VM is missing on the host"


class ForeignDomain(CloneError):
    """A domain that vmclone did not make has the name that the VM's domain would get."""

    code = "CLONE.1015"
    description = "The domain is not vmclone's"


class SnapshotOutgrown(CloneError):
    """The running source wrote more while it was copied than there is room for."""

    code = "CLONE.1016"
    description = "The snapshot of the running source needed too much room"
    retryable = True


class KeyFileUnusable(CloneError):
    """The key file that secrets of access keys are derived from cannot be used."""

    code = "CLONE.1040"
    description = "Access keys cannot be used"
