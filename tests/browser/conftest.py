"""A real Chromium before a real stack. Whatever a page does that it must not fails its test."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.api.main import DEFAULT_PASSWORD
from tests.browser.place import Place, browsed_place
from tests.requirements import require

CHROMIUM = Path("/usr/bin/chromium")
LIMIT_MS = 30_000  # of a machine that does much else

expect.set_options(timeout=LIMIT_MS)


@pytest.fixture(scope="session")
def chromium() -> None:
    require(CHROMIUM.exists(), "chromium is not installed")


@pytest.fixture(scope="package")
def place(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with browsed_place(tmp_path_factory.mktemp("home")) as place:
        yield place


@pytest.fixture(scope="module")
def browser(place: Place) -> Iterator[Browser]:
    """After the stack, which is started with an event loop of its own; and gone before the next
    file, because Playwright's loop runs as long as it lives, and no test of asyncio could begin."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


# The streams of a page, and what came by them.
_STREAMS = """
window.streams = [];
streams.stateOf = {};
streams.lastIdOf = {};
const Stream = EventSource;
window.EventSource = class extends Stream {
  constructor(...given) {
    super(...given);
    streams.push(this);
    this.addEventListener("job", (event) => {
      const job = JSON.parse(event.data);
      streams.stateOf[job.uuid] = job.state;
      streams.lastIdOf[job.uuid] = event.lastEventId;
    });
  }
};
"""


@dataclass
class Watched:
    """A page, and what it said and asked for."""

    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)
    tolerated: tuple[str, ...] = ()

    def go(self, route: str) -> None:
        """To a page of ours, without a load where one is open."""
        self.page.goto(f"{self.origin}/#/{route}")

    def tolerate(self, *expected: int | str) -> None:
        """Answers of these statuses, and faults with these words: what a test is about."""
        # A bare number would be found in addresses, too.
        self.tolerated = tuple(f"status of {e} (" if isinstance(e, int) else e for e in expected)

    def check(self) -> None:
        assert [f for f in self.faults if not any(words in f for words in self.tolerated)] == []


def watch(page: Page, origin: str) -> Watched:
    watched = Watched(page, origin)
    host = urlsplit(origin).netloc

    def said(message: Any) -> None:
        if message.type in {"error", "warning"}:
            watched.faults.append(f"{message.type}: {message.text} {message.location['url']}")

    def asked(request: Any) -> None:
        if urlsplit(request.url).netloc != host:
            watched.faults.append(f"asked another host: {request.url}")

    page.add_init_script(_STREAMS)
    page.on("console", said)
    page.on("pageerror", lambda error: watched.faults.append(f"error: {error}"))
    page.on("request", asked)
    page.set_default_timeout(LIMIT_MS)
    return watched


def sign_in(page: Page, password: str = DEFAULT_PASSWORD) -> None:
    page.locator("#field-password").fill(password)
    page.keyboard.press("Enter")


@pytest.fixture(scope="module")
def signed_in_state(place: Place, browser: Browser) -> Any:
    """Cookies and storage of somebody who signed in."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(place.origin)
    sign_in(page)
    expect(page.locator("nav")).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(browser: Browser, signed_in_state: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(
        storage_state=signed_in_state, locale="en-GB", viewport={"width": 1440, "height": 900}
    )
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext, place: Place) -> Iterator[Watched]:
    """Signed in as admin, nowhere yet."""
    watched = watch(context.new_page(), place.origin)
    yield watched
    watched.check()
