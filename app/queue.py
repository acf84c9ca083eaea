"""The Celery application and the names of its tasks.

Messages carry uuids and nothing more; all of them may be lost or come twice, because the
database knows what is due and the sweeper publishes it again. Tasks are published by name, so
that the API runs without worker code.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from celery import Celery
from kombu import Queue

CONTROL_QUEUE = "clone"
_HOST_QUEUE = "host."
CONTROL_SEEN_KEY = "vmclone:control:seen"  # set while a control worker is alive


class TaskName(StrEnum):
    START = "vmclone.start"  # job uuids: judge each and write its items
    SCHEDULE = "vmclone.schedule"  # grant what can be granted
    SWEEP = "vmclone.sweep"  # find due work that nobody has in hand
    FINISH = "vmclone.finish"  # job uuid: write its result
    PREPARE_BASE = "vmclone.prepare_base"  # base set uuid, on its host
    REMOVE_BASE = "vmclone.remove_base"  # base set uuid, on its host
    PUT_BACK = "vmclone.put_back"  # base set uuid, on its host: end its source's snapshot
    CLONE_VM = "vmclone.clone_vm"  # item uuid, on its host
    RECHECK = "vmclone.recheck"  # uuid of an item that was taken back, on its host


def host_queue(host_uuid: str) -> str:
    return f"{_HOST_QUEUE}{host_uuid}"


def host_of(queue: str) -> str:
    return queue.removeprefix(_HOST_QUEUE)


def make_celery(broker_url: str) -> Celery:
    """The application with the settings that survive what Redis and workers do when they die:
    late acknowledgement, redelivery after a lost child, no result backend, JSON alone."""
    celery = Celery("vmclone", broker=broker_url, set_as_current=False)
    celery.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=CONTROL_QUEUE,
        task_queues=[Queue(CONTROL_QUEUE)],
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        # Redelivery is the sweeper's business, in seconds; the broker's own must never overtake
        # a copy that runs for hours.
        broker_transport_options={
            "visibility_timeout": 30 * 86400,
            "socket_connect_timeout": 2,
            "socket_timeout": 5,
            "retry_on_timeout": False,
        },
    )
    return celery


class Publisher:
    """Sends task messages, best effort: an error is the caller's to log and no more."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def publish(
        self,
        task: TaskName,
        *uuids: str,
        queue: str = CONTROL_QUEUE,
        expires_s: float | None = None,
    ) -> None:
        """One message for each uuid (or one without any), over one connection."""
        self._send(task, [[uuid] for uuid in uuids] or [[]], queue=queue, expires_s=expires_s)

    def publish_together(self, task: TaskName, uuids: Sequence[str]) -> None:
        """One message of the control queue with all of them."""
        self._send(task, [uuids], queue=CONTROL_QUEUE)

    def _send(
        self,
        task: TaskName,
        messages: Iterable[Sequence[str]],
        *,
        queue: str,
        expires_s: float | None = None,
    ) -> None:
        with self._celery.producer_pool.acquire(block=True) as producer:
            for uuids in messages:
                self._celery.send_task(
                    task,
                    args=uuids,
                    queue=queue,
                    producer=producer,
                    expires=expires_s,
                    retry=False,
                    ignore_result=True,
                )

    def wake_host(self, host_uuid: str, item_uuids: Sequence[str], *, most: int) -> None:
        """Messages for items that wait at a host, so many that `most` wait there at the end: each
        wakes a process, which takes what there is by itself."""
        queue = host_queue(host_uuid)
        room = most - self._waiting(queue)
        if room > 0 and item_uuids:
            self.publish(TaskName.CLONE_VM, *item_uuids[:room], queue=queue)

    def _waiting(self, queue: str) -> int:
        """Messages that no worker has taken."""
        with self._celery.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            return int(channel.client.llen(queue))
