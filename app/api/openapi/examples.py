"""Requests to try, which work against what `vmclone demo` declares."""

from collections.abc import Mapping
from typing import Any

# Derived from their names by the inventory.
DEMO_VM = "26acf6e34ed95423a7e250f49c97d232"
DEMO_HOST = "1bde87f01e865b3cbc4584480b47e7f6"
DEMO_CLUSTER = "91010cbc437e5bcf88b982a06cd285e1"
DEMO_STORAGE = "d8c52b8c6af45e31af5351c3ea885a43"
DEMO_NETWORK = "248b82e75ef35595a2e87f855dcb693a"
# SHA-512 of `password`, as ZStack's clients send it.
_HASHED = (
    "b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb9"
    "80b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86"
)

# What a path of ZStack's surface names, by its first part.
OF_PATHS = {
    "vm-instances": DEMO_VM,
    "hosts": DEMO_HOST,
    "clusters": DEMO_CLUSTER,
    "primary-storage": DEMO_STORAGE,
    "l3-networks": DEMO_NETWORK,
}
SIGN_IN: Mapping[str, dict[str, Any]] = {
    "admin": {"accountName": "admin", "password": "password"},
}
EVERY_PARAMETER: dict[str, Any] = {
    "names": ["web-1", "web-2"],
    "strategy": "InstantStart",
    "full": True,
    "description": "web servers",
    "clusterUuid": DEMO_CLUSTER,
    "hostUuid": DEMO_HOST,
    "primaryStorageUuidForRootVolume": DEMO_STORAGE,
    "primaryStorageUuidForDataVolume": DEMO_STORAGE,
    "rootVolumeSystemTags": ["cloneMode::linked"],
    "dataVolumeSystemTags": ["cloneMode::full"],
    "vmNicParams": [{"l3NetworkUuid": DEMO_NETWORK, "driverType": "virtio", "isDefaultNic": True}],
    "diskAOs": [{"boot": False, "size": 1073741824, "name": "scratch"}],
    "vmCustomSpecification": {"platform": "Linux"},
    "resetTpm": False,
    "systemTags": ["cloneMode::auto"],
    "userTags": ["team::web"],
}
CLONE_JOBS: Mapping[str, dict[str, Any]] = {
    "by pattern": {"vmInstanceUuid": DEMO_VM, "namePattern": "web-{001..020}"},
    "with data volumes": {
        "vmInstanceUuid": DEMO_VM,
        "names": ["web-1", "web-2"],
        "full": True,
        "mode": "full",
        "priority": 7,
        "policy": {"onFailure": "allOrNothing"},
    },
    "every parameter": {"vmInstanceUuid": DEMO_VM, **EVERY_PARAMETER},
}
OF_MESSAGES: Mapping[str, dict[str, Any]] = {
    "LogInByAccount": {"logInByAccount": {"accountName": "admin", "password": _HASHED}},
    "LogInByUser": {
        "logInByUser": {"accountName": "admin", "userName": "ops", "password": _HASHED}
    },
    "CloneVmInstance": {"cloneVmInstance": {"names": ["web-1", "web-2"]}},
    "CloneVmInstance, every parameter": {"cloneVmInstance": EVERY_PARAMETER},
    "StartVmInstance": {"startVmInstance": {}},
    "StopVmInstance": {"stopVmInstance": {"type": "grace"}},
    "RebootVmInstance": {"rebootVmInstance": {}},
    "ExpungeVmInstance": {"expungeVmInstance": {}},
    "RecoverVmInstance": {"recoverVmInstance": {}},
    "UpdateVmInstance": {"updateVmInstance": {"name": "web-1", "description": "renamed"}},
    "RenewSession": {"renewSession": {"duration": 7200}},
    "CreateAccount": {"params": {"name": "team", "password": _HASHED}},
    "UpdateAccount": {"updateAccount": {"description": "the web team"}},
    "CreateUser": {"params": {"name": "ops", "password": _HASHED}},
    "UpdateUser": {"updateUser": {"description": "on call"}},
    "ShareResource": {"shareResource": {"resourceUuids": [DEMO_VM], "toPublic": True}},
    "RevokeResourceSharing": {
        "revokeResourceSharing": {"resourceUuids": [DEMO_VM], "toPublic": True}
    },
    "UpdateQuota": {
        "updateQuota": {
            "identityUuid": "36c27e8ff05c4780bf6d2fa65700f22e",
            "name": "vm.totalNum",
            "value": -1,
        }
    },
    "GetVersion": {"getVersion": {}},
    "GetCurrentTime": {"getCurrentTime": {}},
    "GetSupportAPIs": {"getSupportAPIs": {}},
    "SubmitLongJob": {
        "params": {
            "jobName": "APICloneVmInstanceMsg",
            "jobData": '{"vmInstanceUuid":"' + DEMO_VM + '","names":["web-1"]}',
        }
    },
    "CancelLongJob": {"cancelLongJob": {}},
    "RerunLongJob": {"rerunLongJob": {}},
    "ResumeLongJob": {"resumeLongJob": {}},
    "CleanLongJob": {"cleanLongJob": {}},
}
