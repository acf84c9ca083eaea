"""What a job is about."""

from enum import StrEnum


class JobKind(StrEnum):
    CLONE = "clone"
    DESTROY = "destroy"  # VMs: their files and addresses are kept for a while
    EXPUNGE = "expunge"  # and those too are gone
    START = "start"  # one VM, as the following
    STOP = "stop"
    REBOOT = "reboot"
    RECOVER = "recover"  # a destroyed one, within its while
    UPDATE = "update"
    API = "api"  # done by the API itself before it answered: accounts, keys, shares, quotas


REMOVALS = frozenset({JobKind.DESTROY, JobKind.EXPUNGE})
