"""vmclone's HTTP API for the command line: sign in, submit, ask."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson

from app.cli.failures import ApiError, NoAnswer
from app.settings import Settings

Json = dict[str, Any]
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
# The server says something at least every 15 seconds.
_STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=50)
_ITEMS_PAGE = 1000
_JOBS_PAGE = 200


@dataclass(frozen=True, slots=True)
class Server:
    url: str  # without a slash at its end
    user: str  # an account, or ACCOUNT/USER
    password: str | None = None
    session: str | None = None  # opened before, and left open
    # What to do where it does not answer, and where it does not know the session or the password.
    if_away: str = ""
    if_refused: str = ""


def find_server(settings: Settings, environment: Mapping[str, str] = os.environ) -> Server:
    """The one that VMCLONE_URL, VMCLONE_USER and VMCLONE_PASSWORD name, else this machine's own
    at the settings' port, signed in as its admin."""
    host = "127.0.0.1" if settings.listen in {"0.0.0.0", "::"} else settings.listen  # noqa: S104
    admin = settings.admin_password.get_secret_value() if settings.admin_password else "password"
    return Server(
        url=environment.get("VMCLONE_URL", f"http://{host}:{settings.port}").rstrip("/"),
        user=environment.get("VMCLONE_USER", "admin"),
        password=environment.get("VMCLONE_PASSWORD", admin),
    )


class Client:
    """One caller's session; leaving logs out of what `log_in` opened. Every method raises ApiError,
    and NoAnswer among them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._session_uuid = server.session or ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._session_uuid != (self.server.session or ""):
                await self.log_out()
        except ApiError:
            pass  # the session ends by itself
        finally:
            await self.close()

    async def close(self) -> None:
        """Leaves the session open."""
        await self._http.close()

    async def wait_until_ready(self, *, timeout_s: float) -> None:
        """The server answers, and a worker is there to do what it accepts."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                await self._call("GET", "/readyz")
            except ApiError:
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def log_in(self) -> str:
        """The new session's uuid."""
        account, _, user = self.server.user.partition("/")
        password = hashlib.sha512((self.server.password or "").encode()).hexdigest()
        form = {"accountName": account, "password": password}
        path, action = "/zstack/v1/accounts/login", "logInByAccount"
        if user:
            path, action, form["userName"] = "/zstack/v1/accounts/users/login", "logInByUser", user
        answer = await self._call("PUT", path, {action: form})
        self._session_uuid = str(answer["inventory"]["uuid"])
        return self._session_uuid

    async def log_out(self) -> None:
        await self._call("DELETE", f"/zstack/v1/accounts/sessions/{self._session_uuid}")

    async def query(
        self,
        resource: str,
        *conditions: str,
        fields: Sequence[str] = (),
        limit: int = 1000,
        **more: Any,
    ) -> list[Json]:
        """ZStack's query of `vm-instances`, `hosts`, … whose conditions all hold."""
        pairs = [("q", condition) for condition in conditions]
        pairs += [("limit", str(limit)), *((name, str(value)) for name, value in more.items())]
        if fields:
            pairs.append(("fields", ",".join(fields)))
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
        return list((await self._call("GET", f"/zstack/v1/{resource}?{text}"))["inventories"])

    async def vm_uuid(self, name: str) -> str:
        """The one VM of that name."""
        found = await self.query("vm-instances", f"name={name}", fields=["uuid"])
        if len(found) != 1:
            raise ApiError(f"{len(found)} VMs are called {name}; use the uuid")
        return str(found[0]["uuid"])

    async def clone(self, vm_uuid: str, parameters: Json) -> str:
        """The uuid of the accepted job, by ZStack's surface."""
        accepted = await self._call(
            "PUT",
            f"/zstack/v1/vm-instances/{vm_uuid}/actions",
            {"cloneVmInstance": parameters},
        )
        return str(accepted["location"]).rsplit("/", 1)[-1]

    async def submit(self, body: Json, headers: Mapping[str, str]) -> Json:
        """The accepted job, by our own surface."""
        return await self._call("POST", "/api/v1/clone-jobs", body, headers)

    async def plan(self, body: Json) -> Json:
        """What a job of that body would do; nothing is reserved."""
        return await self._call("POST", "/api/v1/clone-jobs?dryRun=true", body)

    async def jobs(self, filters: Mapping[str, str], *, limit: int) -> list[Json]:
        """The newest `limit` of them, newest first."""
        pairs = {**filters, "limit": str(min(limit, _JOBS_PAGE))}.items()
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
        path: str | None = f"/api/v1/clone-jobs?{query}"
        jobs: list[Json] = []
        while path is not None and len(jobs) < limit:
            page = await self._call("GET", path)
            jobs += page["clone-jobs"]
            path = page["next"]
        return jobs[:limit]

    async def job(self, uuid: str) -> Json:
        return await self._call("GET", f"/api/v1/clone-jobs/{uuid}")

    async def job_unless(self, uuid: str, tag: str | None) -> tuple[Json | None, str | None]:
        """The job and its ETag; None where it still has that one."""
        headers = {"If-None-Match": tag} if tag else {}
        async with self._asked("GET", f"/api/v1/clone-jobs/{uuid}", None, headers) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return None, tag
            return dict(await response.json()), response.headers.get("ETag")

    async def control(self, uuid: str, verb: str) -> Json:
        """cancel, pause or resume; the job as it is then."""
        return await self._call("POST", f"/api/v1/clone-jobs/{uuid}/{verb}")

    async def retry(self, uuid: str, headers: Mapping[str, str]) -> Json:
        """The new job of the names that were not cloned."""
        return await self._call("POST", f"/api/v1/clone-jobs/{uuid}/retry", None, headers)

    async def remove_vms(self, job_uuid: str, *, expunge: bool = True) -> str:
        """The uuid of the job that removes what that one made."""
        path = f"/api/v1/clone-jobs/{job_uuid}/vms?expunge={str(expunge).lower()}"
        return str((await self._call("DELETE", path))["uuid"])

    async def remove_vm(self, uuid: str, *, expunge: bool) -> None:
        """One VM, destroyed or, once it is that, expunged; waits for the end."""
        path, body = f"/zstack/v1/vm-instances/{uuid}", Json()
        if expunge:
            path, body = f"{path}/actions", {"expungeVmInstance": {}}
        accepted = await self._call("PUT" if expunge else "DELETE", path, body)
        job = str(accepted["location"]).rsplit("/", 1)[-1]
        headers = {"Prefer": "wait=20"}
        while "location" in accepted:
            accepted = await self._call("GET", f"/zstack/v1/api-jobs/{job}", None, headers)

    async def items(self, job_uuid: str, *, state: str | None = None) -> list[Json]:
        """One entry per requested name (of those in that state), in request order."""
        items: list[Json] = []
        after: int | None = -1
        chosen = f"&state={state}" if state else ""
        while after is not None:
            page = await self._call(
                "GET",
                f"/api/v1/clone-jobs/{job_uuid}/items?limit={_ITEMS_PAGE}&after={after}{chosen}",
            )
            items += page["items"]
            after = page["next"]
        return items

    async def result(self, job_uuid: str) -> list[Json]:
        """A finished job's clones, in request order: each has `inventory` or `error`."""
        answer = await self._call("GET", f"/zstack/v1/api-jobs/{job_uuid}")
        return list(answer["result"]["inventories"])

    async def events(self, job_uuid: str, last_id: str | None) -> AsyncGenerator[tuple[str, Json]]:
        """The job's server-sent events from the one after `last_id`, as (its id, {name: data}).
        Ends with the connection."""
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        path = f"/api/v1/clone-jobs/{job_uuid}/events"
        async with self._asked("GET", path, None, headers, _STREAM_TIMEOUT) as response:
            event: dict[str, str] = {}
            async for line in _lines(response.content):
                name, _, value = line.partition(":")
                if name:
                    event[name] = value.removeprefix(" ")
                elif "data" in event:
                    yield event.get("id", ""), {event["event"]: orjson.loads(event["data"])}
                    event = {}

    async def _call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        async with self._asked(method, path, body, headers or {}) as response:
            try:
                return dict(await response.json(content_type=None))
            except ValueError as exc:
                raise ApiError(f"{response.url} answers no JSON: is it vmclone's?") from exc

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        body: Json | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Its answer, which is a good one."""
        signed = {"Authorization": f"OAuth {self._session_uuid}"} if self._session_uuid else {}
        url = self.server.url + path
        try:
            async with self._http.request(
                method, url, json=body or None, headers={**signed, **headers}, timeout=timeout
            ) as response:
                if not response.ok:
                    raise _refusal(response, await response.text())
                yield response
        except aiohttp.InvalidURL as exc:
            raise ApiError(f"{self.server.url} is no URL, as http://HOST:8080") from exc
        except aiohttp.ClientConnectorError as exc:
            # Its own text names the address once more, and TLS where there is none.
            raise NoAnswer(f"{self.server.url} does not answer: {_why(exc)}") from exc
        except aiohttp.ClientError as exc:
            raise NoAnswer(f"{self.server.url} does not answer: {exc}") from exc
        except TimeoutError as exc:
            raise NoAnswer(f"{self.server.url} does not answer in time") from exc


def _why(exc: aiohttp.ClientConnectorError) -> str:
    if isinstance(exc.os_error, ConnectionError) and exc.os_error.errno:
        return os.strerror(exc.os_error.errno)
    return exc.strerror or str(exc.os_error)


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[str]:
    """Its whole lines, however long: five hundred items are one."""
    rest = bytearray()
    async for chunk in content.iter_any():
        *whole, last = chunk.split(b"\n")
        for part in whole:
            rest += part
            yield rest.decode().rstrip("\r")
            rest.clear()
        rest += last


def _refusal(response: aiohttp.ClientResponse, body: str) -> ApiError:
    """In the server's words, whichever surface answered."""
    text = f"{response.url} answers {response.status} {response.reason}: {body[:200].strip()}"
    refused, code = False, None
    try:
        content = orjson.loads(body)
        error = content.get("error") or content
        text = str(error.get("details") or error.get("detail") or text)
        refused, code = "error" in content, error.get("code")
    except (ValueError, AttributeError):
        pass
    # ZStack's surface refuses with 503 and an error; any other such status is no judgement.
    away = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not refused
    return (NoAnswer if away else ApiError)(text, status=response.status, code=code)


async def wait_until_ready(server: Server, *, timeout_s: float) -> None:
    """The server answers, and a worker is there. Raises ApiError."""
    async with Client(server) as client:
        await client.wait_until_ready(timeout_s=timeout_s)
