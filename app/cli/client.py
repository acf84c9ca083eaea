"""vmclone's HTTP API for the command line: sign in, submit, follow."""

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from app.settings import Settings

Json = dict[str, Any]
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
_ITEMS_PAGE = 1000


class ApiError(Exception):
    """The server refused, or did not answer; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Server:
    url: str  # without a slash at its end
    user: str
    password: str


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
    """One caller's session; leaving logs out. Every method raises ApiError."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._session_uuid = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._session_uuid:
                await self._call("DELETE", f"/zstack/v1/accounts/sessions/{self._session_uuid}")
        except ApiError:
            pass  # the session ends by itself
        finally:
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

    async def log_in(self) -> None:
        password = hashlib.sha512(self._server.password.encode()).hexdigest()
        answer = await self._call(
            "PUT",
            "/zstack/v1/accounts/login",
            {"logInByAccount": {"accountName": self._server.user, "password": password}},
        )
        self._session_uuid = answer["inventory"]["uuid"]

    async def vm_uuid(self, name: str) -> str:
        """The one VM of that name."""
        answer = await self._call("GET", f"/zstack/v1/vm-instances?q=name={name}&fields=uuid")
        if len(answer["inventories"]) != 1:
            raise ApiError(f"{len(answer['inventories'])} VMs are called {name}; use the uuid")
        return str(answer["inventories"][0]["uuid"])

    async def clone(self, vm_uuid: str, parameters: Json) -> str:
        """The uuid of the accepted job."""
        accepted = await self._call(
            "PUT",
            f"/zstack/v1/vm-instances/{vm_uuid}/actions",
            {"cloneVmInstance": parameters},
        )
        return str(accepted["location"]).rsplit("/", 1)[-1]

    async def job(self, uuid: str) -> Json:
        return await self._call("GET", f"/api/v1/clone-jobs/{uuid}")

    async def control(self, uuid: str, verb: str) -> Json:
        """cancel, pause, resume or retry; the job as it is then."""
        return await self._call("POST", f"/api/v1/clone-jobs/{uuid}/{verb}")

    async def remove_vms(self, job_uuid: str) -> str:
        """The uuid of the job that expunges what that one made."""
        path = f"/api/v1/clone-jobs/{job_uuid}/vms?expunge=true"
        return str((await self._call("DELETE", path))["uuid"])

    async def items(self, job_uuid: str) -> list[Json]:
        """One entry per requested name, in request order."""
        items: list[Json] = []
        after: int | None = -1
        while after is not None:
            page = await self._call(
                "GET", f"/api/v1/clone-jobs/{job_uuid}/items?limit={_ITEMS_PAGE}&after={after}"
            )
            items += page["items"]
            after = page["next"]
        return items

    async def result(self, job_uuid: str) -> list[Json]:
        """A finished job's clones, in request order: each has `inventory` or `error`."""
        answer = await self._call("GET", f"/zstack/v1/api-jobs/{job_uuid}")
        return list(answer["result"]["inventories"])

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {"Authorization": f"OAuth {self._session_uuid}"} if self._session_uuid else {}
        url = self._server.url + path
        try:
            async with self._http.request(method, url, json=body, headers=headers) as response:
                if not response.ok:
                    raise ApiError(
                        f"{method} {url}: {response.status} {_reason(await response.text())}"
                    )
                return dict(await response.json(content_type=None))
        except aiohttp.ClientError as exc:
            raise ApiError(f"{method} {url}: no answer: {exc}") from exc
        except TimeoutError as exc:
            raise ApiError(f"{method} {url}: no answer in time") from exc


def _reason(body: str) -> str:
    """What went wrong in the server's words, whichever surface answered."""
    try:
        content = orjson.loads(body)
        error = content.get("error") or content
        return str(error.get("details") or error.get("detail") or body)
    except (ValueError, AttributeError):
        return body


async def wait_until_ready(server: Server, *, timeout_s: float) -> None:
    """The server answers, and a worker is there. Raises ApiError."""
    async with Client(server) as client:
        await client.wait_until_ready(timeout_s=timeout_s)
