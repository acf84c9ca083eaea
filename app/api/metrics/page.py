"""What this process counts, and the page that shows it beside the database's figures."""

import asyncio
import hmac
import logging
import time
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from app.api.metrics.standing import Standing
from app.api.middlewares import Handler
from app.api.paths import route_of
from app.api.state import ApiState, state_of
from app.store import figures
from app.store.figures import Figures
from app.store.session import POOL_AWAY, is_away
from app.zstack.forms import BadRequest

log = logging.getLogger(__name__)

FRESH_S = 5.0  # figures of the database serve every scrape for so long
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
PARTS = frozenset({"process", "database"})


class Metrics:
    """Of one API process."""

    def __init__(self) -> None:
        self.process = CollectorRegistry()
        ProcessCollector(registry=self.process)
        build = Gauge("vmclone_build_info", "Always 1.", ["version"], registry=self.process)
        build.labels(version("vmclone")).set(1)
        self._requests = Histogram(
            "vmclone_http_request_duration_seconds",
            "Requests that were answered, by the template of their path; streams are not in it.",
            ["route", "code"],
            buckets=BUCKETS_S,
            registry=self.process,
        )
        self._by_labels: dict[tuple[str, int], Histogram] = {}
        self._figures: Figures | None = None
        self._loaded_at_s = -FRESH_S
        self._loading = asyncio.Lock()

    def observe(self, route: str, code: int, seconds: float) -> None:
        key = route, code
        if key not in self._by_labels:  # looking labels up costs more than the observation
            self._by_labels[key] = self._requests.labels(route, str(code))
        self._by_labels[key].observe(seconds)

    async def standing(self, state: ApiState) -> Standing:
        """Whoever asks while they are read waits for that; nobody reads them twice."""
        async with self._loading:
            if time.monotonic() - self._loaded_at_s >= FRESH_S:
                self._figures = await _load(state)
                self._loaded_at_s = time.monotonic()
        return Standing(self._figures)


METRICS = web.AppKey("metrics", Metrics)


async def _load(state: ApiState) -> Figures | None:
    settings = state.settings
    try:
        return await state.read(
            lambda c: figures.load(
                c,
                host_slots=settings.host_slots,
                storage_full_copies=settings.storage_full_copies,
            )
        )
    except (DBAPIError, *POOL_AWAY) as error:
        unknown = None if is_away(error) else error
        log.warning("metrics without the database", extra={"error": str(error)}, exc_info=unknown)
        return None


async def show_metrics(request: web.Request) -> web.Response:
    """`collect[]=process` or `=database` asks for one part. 404 where metrics are off."""
    state = state_of(request)
    if state.settings.metrics == "off":
        raise web.HTTPNotFound
    token = state.settings.metrics_token
    if token is not None and not bears(request.headers.get("Authorization"), token):
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    parts = set(request.query.getall("collect[]", sorted(PARTS)))
    if not parts <= PARTS:
        raise BadRequest("collect[] is process or database")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    shown, metrics = CollectorRegistry(), request.app[METRICS]
    if "process" in parts:
        shown.register(metrics.process)
    if "database" in parts:
        shown.register(await metrics.standing(state))
    return web.Response(body=encode(shown), headers={"Content-Type": content_type})


def bears(authorization: str | None, token: SecretStr) -> bool:
    expected = f"Bearer {token.get_secret_value()}".encode()
    return hmac.compare_digest((authorization or "").encode(), expected)


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    began_s = time.perf_counter()
    response = await handler(request)
    if isinstance(response, web.Response):
        seconds = time.perf_counter() - began_s
        request.app[METRICS].observe(route_of(request), response.status, seconds)
    return response
