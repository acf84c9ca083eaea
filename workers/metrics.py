"""What `vmclone worker` says of itself at its own port.

Served by the agent, which lives on when Celery's processes are killed, and only of what it sees
itself: numbers of jobs and names are the database's, and the API tells them.
"""

import hmac
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.endpoints import ConfigurationError
from app.settings import Settings
from app.supervisor import Child


class Seen(Protocol):
    """What the agent sees."""

    @property
    def children(self) -> Sequence[Child]: ...

    @property
    def served(self) -> frozenset[str]: ...

    @property
    def away(self) -> frozenset[str]: ...

    @property
    def processes(self) -> int: ...


class WorkerCollector(Collector):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        seen = self._seen
        build = GaugeMetricFamily("vmclone_build_info", "Always 1.", labels=["version"])
        build.add_metric([version("vmclone")], 1)
        yield build
        up = GaugeMetricFamily(
            "vmclone_worker_child_up", "Whether the process lives.", labels=["child"]
        )
        restarts = CounterMetricFamily(
            "vmclone_worker_child_restarts", "How often it died.", labels=["child"]
        )
        for child in seen.children:
            kind = child.name.partition("@")[0].partition("-")[0]  # hosts, control or webhooks
            up.add_metric([kind], float(child.alive))
            restarts.add_metric([kind], child.restarts)
        yield from (up, restarts)
        for name, documentation, value in (
            ("hosts_served", "Hosts that it serves.", len(seen.served)),
            ("hypervisors_away", "Hypervisors of them that do not answer.", len(seen.away)),
            ("processes", "Clones that it makes at once.", seen.processes),
        ):
            yield GaugeMetricFamily(f"vmclone_worker_{name}", documentation, value=value)


def registry_of(seen: Seen) -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(WorkerCollector(seen))
    return registry


Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """A line for each scrape would say nothing."""


def serve(settings: Settings, seen: Seen) -> WSGIServer | None:
    """From a thread of its own; None where nobody asked for it. Raises ConfigurationError for an
    address that cannot be had."""
    port, address = settings.worker_metrics_port, settings.worker_metrics_listen
    if port is None or settings.metrics == "off":
        return None
    try:
        server = make_server(
            address, port, _guarded(settings, make_wsgi_app(registry_of(seen))), _Server, _Quiet
        )
    except OSError as error:
        raise ConfigurationError(
            f"the worker's metrics cannot be served on {address}:{port} ({error.strerror}): set "
            "VMCLONE_WORKER_METRICS_PORT to a free port, another one for each worker"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _guarded(settings: Settings, page: Answer) -> Answer:
    token = settings.metrics_token
    if token is None:
        return page
    expected = f"Bearer {token.get_secret_value()}".encode()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode()
        if hmac.compare_digest(given, expected):
            return page(environ, start)
        start("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
        return []

    return answer
