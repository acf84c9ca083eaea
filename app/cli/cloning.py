"""`vmclone clone`: one request for many VMs, and its way to the end."""

from typing import TYPE_CHECKING, Any

import typer

from app.cli import clone_options as options
from app.cli.people import ALL, NONE, SOME, AsJson, Profile, console, note, on_server, print_json

if TYPE_CHECKING:
    from app.cli.client import Client
    from app.cli.clone_body import Wishes

Json = dict[str, Any]


def clone(
    source: options.Source,
    names: options.Names,
    full: options.Full = False,
    mode: options.Mode = None,
    volume: options.Volume = None,
    storage: options.Storage = None,
    data_storage: options.DataStorage = None,
    host: options.Host = None,
    cluster: options.Cluster = None,
    nic: options.Nic = None,
    strategy: options.Strategy = None,
    hostname: options.Hostname = None,
    sshkey: options.Sshkey = None,
    user_data: options.UserData = None,
    description: options.Description = None,
    tag: options.Tag = None,
    system_tag: options.SystemTag = None,
    reset_tpm: options.ResetTpm = False,
    priority: options.Priority = None,
    on_failure: options.OnFailure = None,
    max_failures: options.MaxFailures = None,
    timeout: options.Timeout = None,
    idempotency_key: options.IdempotencyKey = None,
    web_hook: options.WebHook = None,
    request: options.Request = None,
    wait: options.Wait = False,
    dry_run: options.DryRun = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Clone SOURCE once for each NAME.

    Exit status: 0 every name was cloned (without --wait: the job was accepted),
    3 some were, 1 none was or the job was refused, 2 usage, 130 Ctrl-C, which
    leaves the job running.
    """
    from app.cli.clone_body import (
        Wishes,
        guest_tags,
        new_names_of,
        nic_of,
        read_request,
        seconds_of,
        volume_of,
    )

    body = read_request(request)
    for each in nic or ():
        nic_of(each)
    for each in volume or ():
        volume_of(each)
    tags = [*(system_tag or ()), *guest_tags(hostname, sshkey or (), user_data)]
    given: Json = {
        "names": new_names_of(names),
        "full": full or None,
        "mode": mode,
        "strategy": strategy,
        "description": description,
        "resetTpm": reset_tpm or None,
        "priority": priority,
        "userTags": tag,
        "systemTags": [*body.get("systemTags", ()), *tags] if tags else None,
        "policy": _policy(on_failure, max_failures),
    }
    body |= {name: value for name, value in given.items() if value is not None}
    headers = {
        "X-API-Timeout": str(seconds_of(timeout)) if timeout else None,
        "Idempotency-Key": idempotency_key,
        "X-Web-Hook": web_hook,
    }
    wishes = Wishes(host, cluster, storage, data_storage, nic or (), volume or ())
    raise typer.Exit(
        on_server(
            profile,
            lambda client: _clone(
                client,
                source,
                body,
                wishes,
                {name: value for name, value in headers.items() if value is not None},
                wait=wait,
                dry_run=dry_run,
                as_json=as_json,
            ),
        )
    )


def _policy(on_failure: str | None, max_failures: int | None) -> Json | None:
    if on_failure not in {None, "keep", "allOrNothing"}:
        raise typer.BadParameter(f"--on-failure is keep or allOrNothing, not {on_failure}")
    policy = {"onFailure": on_failure, "maxFailures": max_failures}
    return {name: value for name, value in policy.items() if value is not None} or None


async def _clone(
    client: "Client",
    source: str,
    body: Json,
    wishes: "Wishes",
    headers: dict[str, str],
    *,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    from app.cli import lookups
    from app.cli.clone_body import resolved
    from app.cli.submitting import submit_once
    from app.cli.watching import watch

    vm = await lookups.find_one(client, lookups.VM, source, "state!=Destroyed")
    body |= {"vmInstanceUuid": vm["uuid"], **await resolved(client, wishes)}
    if dry_run:
        return _show_plan(await client.plan(body), as_json=as_json)
    job = await submit_once(lambda named: client.submit(body, named), headers)
    uuid = str(job["uuid"])
    if wait:
        if not as_json:
            console().print(f"job {uuid}: {vm['name']} to {_names(body['names'])}", soft_wrap=True)
        return await watch(client, uuid, as_json=as_json)
    if as_json:
        print_json({"job": job, "items": await client.items(uuid)})
    else:
        print(f"job {uuid} makes {_names(body['names'])}")
        note(f"watch it:  vmclone watch {uuid[:8]}")
    return ALL


def _names(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{len(names):,} names, {names[0]} to {names[-1]}"


def _show_plan(plan: Json, *, as_json: bool) -> int:
    from app.cli.plan_report import show_plan

    if as_json:
        print_json(plan)
    else:
        show_plan(console(), plan)
    fit = sum(not item["error"] for item in plan["items"])
    if plan["error"] or not fit:
        return NONE
    return ALL if fit == plan["total"] else SOME
