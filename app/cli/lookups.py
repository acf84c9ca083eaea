"""Names to uuids, by ZStack's queries: what the caller may see."""

from app.cli.client import Client, Json
from app.cli.failures import ApiError
from app.domain.elements import UUID

VM, HOST, CLUSTER = "vm-instances", "hosts", "clusters"
STORAGE, NETWORK = "primary-storage", "l3-networks"
_WORDS = {
    VM: "VM",
    HOST: "host",
    CLUSTER: "cluster",
    STORAGE: "primary storage",
    NETWORK: "L3 network",
}
_SHOWN = 10
_UUIDS_A_QUERY = 100  # a URL has room for them


async def find_one(client: Client, resource: str, given: str, *conditions: str) -> Json:
    """Its inventory, by uuid or by name. Raises ApiError that lists them where several are called
    so."""
    key = "uuid" if UUID.fullmatch(given) else "name"
    found = await client.query(resource, f"{key}={given}", *conditions, limit=_SHOWN + 1)
    word = _WORDS[resource]
    if not found:
        where = "; `vmclone vms` lists them" if resource == VM else ""
        if where and "*" in given:
            where = "; a `*` stands for several in `vmclone vms` alone"
        raise ApiError(f"there is no {word} {given} that you can see{where}")
    if len(found) > 1:
        shown = [f"{each['uuid']} ({each.get('state', '')})" for each in found[:_SHOWN]]
        more = ", …" if len(found) > _SHOWN else ""
        raise ApiError(
            f"several are called {given}: {', '.join(shown)}{more}; say which {word} by its uuid"
        )
    return found[0]


async def uuid_of(client: Client, resource: str, given: str) -> str:
    return str((await find_one(client, resource, given))["uuid"])


async def names_of(client: Client, resource: str, uuids: list[str]) -> dict[str, str]:
    """By uuid; those that are no more, or not the caller's to see, are left out."""
    found = await by_uuids(client, resource, uuids, fields=["uuid", "name"])
    return {each["uuid"]: each["name"] for each in found}


async def by_uuids(
    client: Client, resource: str, uuids: list[str], *, fields: list[str] | None = None
) -> list[Json]:
    """Inventories, in the order of `uuids`."""
    wanted = list(dict.fromkeys(uuids))
    found: dict[str, Json] = {}
    for start in range(0, len(wanted), _UUIDS_A_QUERY):
        some = ",".join(wanted[start : start + _UUIDS_A_QUERY])
        page = await client.query(resource, f"uuid?={some}", fields=fields or [])
        found |= {each["uuid"]: each for each in page}
    return [found[uuid] for uuid in wanted if uuid in found]


async def find_job(client: Client, given: str) -> str:
    """The uuid of the job that begins so. Raises ApiError where none or several do."""
    if UUID.fullmatch(given):
        return given
    if not given or not set(given) <= set("0123456789abcdef"):
        raise ApiError(
            f"{given!r} is no job: give its uuid or the uuid's beginning, as in `vmclone jobs`"
        )
    found = await client.jobs({}, limit=1000)
    matching = [job["uuid"] for job in found if job["uuid"].startswith(given)]
    if not matching:
        raise ApiError(
            f"none of your newest {len(found)} jobs begins with {given}; `vmclone jobs` lists them"
        )
    if len(matching) > 1:
        raise ApiError(f"several jobs begin with {given}: {', '.join(matching[:_SHOWN])}")
    return str(matching[0])
