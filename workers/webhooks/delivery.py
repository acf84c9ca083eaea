"""Delivers what is due: every row by itself, many at once, each call within its limit.

A row is moved on before its call, so that a process that dies in the middle only delays it. At
least once, therefore: receivers know a repetition by its webhook-id.
"""

import asyncio
import logging
import random
import time

import aiohttp
from yarl import URL

from app.settings import Settings
from app.store import webhooks
from app.store.session import DATABASE_AWAY, Database
from app.store.webhooks import Due
from app.zstack.results import with_schema
from workers.webhooks.addresses import AddressRefused, JudgingResolver, check_address, check_url
from workers.webhooks.signature import key_of, sign

log = logging.getLogger(__name__)

CALL_LIMIT_S = 10.0
AT_ONCE = 16
LOOK_INTERVAL_S = 0.5
QUICK_TRIES, QUICK_INTERVAL_S = 15, 2.0  # Source: ZStack
SLOWEST_INTERVAL_S = 3600.0
GIVE_UP_S = 86400.0


def next_try_s(attempts: int, rng: random.Random) -> float:
    """Seconds until the next try after `attempts` failed ones."""
    if attempts < QUICK_TRIES:
        return QUICK_INTERVAL_S
    doubled = QUICK_INTERVAL_S * 2.0 ** min(attempts - QUICK_TRIES + 1, 20)
    return min(doubled, SLOWEST_INTERVAL_S) * rng.uniform(0.5, 1.0)


class Postman:
    def __init__(self, settings: Settings, database: Database) -> None:
        """Raises ConfigurationError for a secret that is none."""
        self._key = key_of(settings)
        self._loopback_allowed = settings.embedded
        self._database = database
        self._rng = random.SystemRandom()
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stopped: asyncio.Event) -> None:
        """Until stopped; calls under way are waited for."""
        connector = aiohttp.TCPConnector(
            resolver=JudgingResolver(loopback_allowed=self._loopback_allowed),
            use_dns_cache=False,
            force_close=True,
            limit=AT_ONCE,
        )
        timeout = aiohttp.ClientTimeout(total=CALL_LIMIT_S)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            while not stopped.is_set():
                await self._begin_due(session)
                await self._pause(stopped)
            if self._under_way:
                await asyncio.wait(self._under_way)

    async def _begin_due(self, session: aiohttp.ClientSession) -> None:
        room = AT_ONCE - len(self._under_way)
        if not room:
            return
        try:
            due = await asyncio.to_thread(
                webhooks.claim, self._database, limit=room, again_s=CALL_LIMIT_S + QUICK_INTERVAL_S
            )
        except DATABASE_AWAY as error:
            log.warning("webhooks wait for the database", extra={"error": str(error)})
            return
        for hook in due:
            call = asyncio.create_task(self._deliver(session, hook))
            self._under_way.add(call)
            call.add_done_callback(self._under_way.discard)

    async def _pause(self, stopped: asyncio.Event) -> None:
        """Until the next look, or a call has ended and made room."""
        stop = asyncio.create_task(stopped.wait())
        full = len(self._under_way) >= AT_ONCE
        waited = {stop, *self._under_way} if full else {stop}
        await asyncio.wait(waited, timeout=LOOK_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    async def _deliver(self, session: aiohttp.ClientSession, hook: Due) -> None:
        error: str | None = None
        final = False
        try:
            error = await self._call(session, hook)
        except AddressRefused as refused:
            error, final = str(refused), True
        except TimeoutError:
            error = f"no answer within {CALL_LIMIT_S:g} s"
        except (aiohttp.ClientError, OSError) as failed:
            final = isinstance(failed.__cause__, AddressRefused)
            error = str(failed.__cause__ if final else failed) or type(failed).__name__
        try:
            await asyncio.to_thread(self._record, hook, error, final=final)
        except DATABASE_AWAY:
            log.warning(
                "a webhook's end is not recorded: it comes again", extra={"hook": hook.uuid}
            )

    async def _call(self, session: aiohttp.ClientSession, hook: Due) -> str | None:
        """None once it is delivered, else what the endpoint answered."""
        url = check_url(hook.url)
        self._check_literal(url)
        body = with_schema(hook.body, hook.schema) if hook.schema else hook.body
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "User-Agent": "vmclone",
            "X-Job-UUID": hook.job_uuid,
            "X-Job-Success": "true" if hook.success else "false",
            "X-Job-Batch": hook.batch,
        }
        if self._key is not None:
            headers |= sign(self._key, hook.uuid, int(time.time()), body)
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if 200 <= answer.status < 300:
                return None
            if 300 <= answer.status < 400:
                return f"answered {answer.status}, and redirects are not followed"
            return f"answered {answer.status}"

    def _check_literal(self, url: URL) -> None:
        """An address in the URL itself is never resolved."""
        host = url.host or ""
        try:
            check_address(host, loopback_allowed=self._loopback_allowed)
        except AddressRefused:
            raise
        except ValueError:
            return

    def _record(self, hook: Due, error: str | None, *, final: bool) -> None:
        if error is None:
            webhooks.delivered(self._database, hook.uuid)
            return
        log.info("webhook failed", extra={"hook": hook.uuid, "error": error})
        webhooks.failed(
            self._database,
            hook.uuid,
            error,
            again_s=None if final else next_try_s(hook.attempts, self._rng),
            give_up_s=GIVE_UP_S,
        )
