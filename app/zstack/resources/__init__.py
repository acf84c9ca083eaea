"""All that can be queried: one entry each, in a file for each family.

A new one takes its entry here and its rows in app.store.queries.
"""

from app.zstack.resources.catalogue import (
    DISK_OFFERING,
    IMAGE,
    INSTANCE_OFFERING,
    SYSTEM_TAG,
    USER_TAG,
)
from app.zstack.resources.identity import (
    ACCESS_KEY,
    ACCOUNT,
    LONG_JOB,
    QUOTA,
    SESSION,
    SHARED_RESOURCE,
    USER,
)
from app.zstack.resources.machines import USED_IP, VM_CD_ROM, VM_INSTANCE, VM_NIC, VOLUME
from app.zstack.resources.places import (
    CLUSTER,
    HOST,
    IP_RANGE,
    L3_NETWORK,
    PRIMARY_STORAGE,
    ZONE,
)
from app.zstack.resources.resource import Resource

_ALL = (
    VM_INSTANCE,
    VM_NIC,
    VM_CD_ROM,
    VOLUME,
    USED_IP,
    ZONE,
    CLUSTER,
    HOST,
    PRIMARY_STORAGE,
    L3_NETWORK,
    IP_RANGE,
    IMAGE,
    INSTANCE_OFFERING,
    DISK_OFFERING,
    SYSTEM_TAG,
    USER_TAG,
    ACCOUNT,
    USER,
    SESSION,
    LONG_JOB,
    ACCESS_KEY,
    QUOTA,
    SHARED_RESOURCE,
)
BY_NAME = {resource.name: resource for resource in _ALL}
# By ZStack's name of the API: QueryVmInstance, …
QUERIES = {resource.api: resource for resource in _ALL if resource.path}

__all__ = ["BY_NAME", "QUERIES", "Resource"]
