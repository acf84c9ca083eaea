"""A caller as ZStack's SDKs are: submits, polls the location, and believes what it reads."""

import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

POLL_S = 0.3
Json = dict[str, Any]


@dataclass
class Answer:
    status: int
    body: bytes

    def json(self) -> Json:
        content = json.loads(self.body)
        return content if isinstance(content, dict) else {}


class Api:
    def __init__(self, url: str) -> None:
        self._url = url
        self._session = ""

    def log_in(self) -> Answer:
        """The session is ours from here on where the answer is 200."""
        password = hashlib.sha512(b"password").hexdigest()
        body = {"logInByAccount": {"accountName": "admin", "password": password}}
        answer = self.answer("PUT", "/zstack/v1/accounts/login", body)
        if answer.status == 200:
            self._session = answer.json()["inventory"]["uuid"]
        return answer

    def answer(self, method: str, path: str, body: Json | None = None) -> Answer:
        """Asks until the server answers, for a minute."""
        until_s = time.monotonic() + 60
        while (answer := self.call(method, path, body)) is None:
            assert time.monotonic() < until_s, f"no answer to {method} {path}"
            time.sleep(0.2)
        return answer

    def call(
        self, method: str, path: str, body: Json | None = None, **headers: str
    ) -> Answer | None:
        """None where there was no answer."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers}
            | ({"Authorization": f"OAuth {self._session}"} if self._session else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())
        except (OSError, ValueError):
            return None
        except Exception as error:  # http.client's own: the connection broke in mid-answer
            return None if "http.client" in type(error).__module__ else _raise(error)


def _raise(error: Exception) -> Answer:
    raise error


@dataclass
class Request:
    """What one caller wants, and when after the beginning."""

    uuid: str
    at_s: float
    vm_uuid: str
    place: str
    parameters: Json
    cancel_after_s: float | None = None

    @property
    def names(self) -> list[str]:
        return list(self.parameters["names"])


@dataclass
class Caller(threading.Thread):
    """Runs one request from its submission to its end; `findings` says what was wrong."""

    api: Api
    request: Request
    give_up: threading.Event
    say: Callable[[str], None]
    final: Answer | None = None
    cancelled: bool = False
    findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name=f"caller {self.request.uuid[:8]}", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        if self.give_up.wait(self.request.at_s) or not self._submit():
            return
        self.say(f"accepted {self.request.uuid} ({len(self.request.names)} names)")
        submitted_s = time.monotonic()
        while not self.give_up.wait(POLL_S):
            cancel_s = self.request.cancel_after_s
            if cancel_s is not None and time.monotonic() - submitted_s > cancel_s:
                self._cancel()
            if self._poll():
                return

    def _submit(self) -> bool:
        """A lost answer is no answer: the same job uuid makes it one job, however often sent."""
        path = f"/zstack/v1/vm-instances/{self.request.vm_uuid}/actions"
        body = {"cloneVmInstance": self.request.parameters}
        headers = {"X-Job-UUID": self.request.uuid}
        while not self.give_up.is_set():
            answer = self.api.call("PUT", path, body, **headers)
            if answer is not None:
                if answer.status == 202 or (answer.status == 400 and b"Duplicate" in answer.body):
                    return True
                if answer.status < 500:
                    self.findings.append(f"submission answered {answer.status} {answer.body!r}")
                    return False
            self.give_up.wait(POLL_S)
        return False

    def _poll(self) -> bool:
        answer = self.api.call("GET", f"/zstack/v1/api-jobs/{self.request.uuid}")
        if answer is None or answer.status == 202:
            return False
        if answer.status not in {200, 503}:
            self.findings.append(f"poll answered {answer.status} {answer.body[:200]!r}")
            return True
        self.final = answer
        return True

    def _cancel(self) -> None:
        answer = self.api.call("POST", f"/api/v1/clone-jobs/{self.request.uuid}/cancel")
        if answer is not None and answer.status < 500:
            self.cancelled = answer.status < 300
            self.request.cancel_after_s = None
