"""What VMs are described by: images, instance offerings and tags."""

from app.zstack.resources.resource import Resource, many

IMAGE = Resource(
    name="Image",
    java="org.zstack.header.image.ImageInventory",
    source="images",
    path="/images",
    fields={
        "uuid": "uuid",
        "name": "name",
        "description": "description",
        "state": "state",
        "status": "status",
        "size": "size",
        "mediaType": "media_type",
        "type": "type",
        "platform": "platform",
        "architecture": "architecture",
        "format": "format",
        "system": "system",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={
        "volume": many("Volume", "root_image_uuid"),
        "vmInstance": many("VmInstance", "image_uuid"),
    },
)
INSTANCE_OFFERING = Resource(
    name="InstanceOffering",
    java="org.zstack.header.configuration.InstanceOfferingInventory",
    source="instance_offerings",
    path="/instance-offerings",
    fields={
        "uuid": "uuid",
        "name": "name",
        "description": "description",
        "cpuNum": "cpu_num",
        "cpuSpeed": "cpu_speed",
        "memorySize": "memory_size",
        "type": "type",
        "allocatorStrategy": "allocator_strategy",
        "sortKey": "sort_key",
        "state": "state",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"vmInstance": many("VmInstance", "instance_offering_uuid")},
)
DISK_OFFERING = Resource(
    name="DiskOffering",
    java="org.zstack.header.configuration.DiskOfferingInventory",
    source="disk_offerings",
    path="/disk-offerings",
    fields={
        "uuid": "uuid",
        "name": "name",
        "description": "description",
        "diskSize": "disk_size",
        "state": "state",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"volume": many("Volume", "disk_offering_uuid")},
)
_TAG_FIELDS = {
    "uuid": "uuid",
    "resourceUuid": "resource_uuid",
    "resourceType": "resource_type",
    "tag": "tag",
    "type": "kind",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
SYSTEM_TAG = Resource(
    name="SystemTag",
    java="org.zstack.header.tag.SystemTagInventory",
    source="system_tags",
    path="/system-tags",
    fields=_TAG_FIELDS | {"inherent": "inherent"},
)
USER_TAG = Resource(
    name="UserTag",
    java="org.zstack.header.tag.UserTagInventory",
    source="user_tags",
    path="/user-tags",
    fields=_TAG_FIELDS,
)
