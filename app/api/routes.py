"""Every path, and who answers it."""

from aiohttp import web

from app.api.access_keys import delete_access_key, post_access_key
from app.api.accounts import (
    delete_account,
    delete_user,
    post_account,
    post_user,
    put_account,
    put_user,
)
from app.api.api_jobs import poll_job
from app.api.clone_jobs import create_clone_job, get_clone_job, list_clone_jobs, list_items
from app.api.dispatch import message_routes
from app.api.health import healthz, readyz
from app.api.job_verbs import cancel_item, cancel_job, pause_job, remove_vms, resume_job, retry_job
from app.api.metrics import show_metrics
from app.api.openapi.routes import docs_routes
from app.api.pages import page_routes
from app.api.places import list_hosts, list_ip_ranges, list_primary_storages
from app.api.queries import query_routes
from app.api.quotas import get_usages, put_quotas
from app.api.rpc import call_rpc, rpc_result
from app.api.session import sign_in, sign_out, who_am_i
from app.api.sessions import log_in_by_account, log_in_by_user, log_out, renew, validate
from app.api.shares import put_resources
from app.api.streams.events import all_events, job_events

_UUID = "{uuid:[^/{}\x00]+}"  # PostgreSQL has no NUL
_ITEM = _UUID.replace("uuid", "item")

# Below /zstack/v1 and /v1, which clients use according to their context path.
ZSTACK = [
    web.put("/accounts/login", log_in_by_account),
    web.put("/accounts/users/login", log_in_by_user),
    web.delete("/accounts/sessions/{uuid}", log_out),
    web.get("/accounts/sessions/{uuid}/valid", validate, allow_head=False),
    web.put("/accounts/sessions/{uuid}/renew", renew),
    web.post("/accounts", post_account),
    web.post("/accounts/users", post_user),
    web.put("/accounts/users/actions", put_user),
    web.delete("/accounts/users/{uuid}", delete_user),
    web.put("/accounts/resources/actions", put_resources),
    web.put("/accounts/quotas/actions", put_quotas),
    web.get("/accounts/quota/{uuid}/usages", get_usages, allow_head=False),
    web.put("/accounts/{uuid}", put_account),
    web.delete("/accounts/{uuid}", delete_account),
    web.post("/accesskeys", post_access_key),
    web.delete("/accesskeys/{uuid}", delete_access_key),
    *message_routes(),
    web.get("/api-jobs/{uuid}", poll_job, allow_head=False),
    *query_routes(),  # last: /x/{uuid} takes whatever no other path of /x takes
]
# The legacy envelope. The old Python binding puts no slash before the id.
RPC = [
    web.RouteDef(method, path, call_rpc, {})
    for method in ("POST", "PUT")
    for path in ("/zstack/api", "/zstack/api/")
] + [
    web.get("/zstack/api/result/{uuid}", rpc_result, allow_head=False),
    web.get("/zstack/api/result{uuid}", rpc_result, allow_head=False),
]
OWN = [
    web.post("/api/v1/session", sign_in),
    web.get("/api/v1/session", who_am_i),
    web.delete("/api/v1/session", sign_out),
    web.get("/api/v1/hosts", list_hosts),
    web.get("/api/v1/primary-storages", list_primary_storages),
    web.get("/api/v1/ip-ranges", list_ip_ranges),
    web.get("/api/v1/clone-jobs", list_clone_jobs),
    web.post("/api/v1/clone-jobs", create_clone_job),
    web.get(f"/api/v1/clone-jobs/{_UUID}", get_clone_job),
    web.post(f"/api/v1/clone-jobs/{_UUID}/cancel", cancel_job),
    web.post(f"/api/v1/clone-jobs/{_UUID}/pause", pause_job),
    web.post(f"/api/v1/clone-jobs/{_UUID}/resume", resume_job),
    web.post(f"/api/v1/clone-jobs/{_UUID}/retry", retry_job),
    web.delete(f"/api/v1/clone-jobs/{_UUID}/vms", remove_vms),
    web.post(f"/api/v1/clone-jobs/{_UUID}/items/{_ITEM}/cancel", cancel_item),
    web.get(f"/api/v1/clone-jobs/{_UUID}/items", list_items),
    web.get(f"/api/v1/clone-jobs/{_UUID}/events", job_events, allow_head=False),
    web.get("/api/v1/events", all_events, allow_head=False),
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.get("/metrics", show_metrics),
]


def routes() -> list[web.RouteDef]:
    plain = [_below(prefix, route) for prefix in ("/zstack/v1", "/v1") for route in ZSTACK]
    # Java's client with the context path "/zstack" sends //zstack/v1/…: repeated slashes are one.
    return [
        *page_routes(),
        *docs_routes(),
        *OWN,
        *map(_exact, RPC),
        *map(_exact, plain),
        *map(_exact, map(_tolerant, plain)),
    ]


def _below(prefix: str, route: web.RouteDef) -> web.RouteDef:
    return web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs)


def _exact(route: web.RouteDef) -> web.RouteDef:
    path = route.path.replace("{uuid}", _UUID)
    return web.RouteDef(route.method, path, route.handler, route.kwargs)


def _tolerant(route: web.RouteDef) -> web.RouteDef:
    parts = route.path.lstrip("/").split("/")
    path = "/{slash0:/*}" + "".join(
        f"{{slash{number}:/+}}{part}" if number else part for number, part in enumerate(parts)
    )
    return web.RouteDef(route.method, path, route.handler, route.kwargs)
