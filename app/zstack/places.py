"""Hosts, clusters and zones as the capacity replies show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.zstack.dates import format_date

_COMMON = {"uuid": "uuid", "name": "name", "description": "description", "state": "state"}
_DATES = {"createDate": "created_at", "lastOpDate": "last_op_at"}
_HOST = _COMMON | {
    "zoneUuid": "zone_uuid",
    "clusterUuid": "cluster_uuid",
    "managementIp": "management_ip",
    "hypervisorType": "hypervisor_type",
    "architecture": "architecture",
    "cpuNum": "cpu_num",
    "totalCpuCapacity": "total_cpu",
    "availableCpuCapacity": "available_cpu",
    "totalMemoryCapacity": "total_memory",
    "availableMemoryCapacity": "available_memory",
}
_CLUSTER = _COMMON | {"zoneUuid": "zone_uuid", "hypervisorType": "hypervisor_type"}


def candidate_host(row: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate is connected."""
    return _members(row, _HOST) | {"status": "Connected"} | _members(row, _DATES)


def cluster(row: Mapping[str, Any]) -> dict[str, Any]:
    return _members(row, _CLUSTER) | {"type": "zstack"} | _members(row, _DATES)


def zone(row: Mapping[str, Any]) -> dict[str, Any]:
    return _members(row, _COMMON) | {"type": "zstack"} | _members(row, _DATES)


def _members(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    values = {name: row.get(column) for name, column in fields.items()}
    return {
        name: format_date(value) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }
