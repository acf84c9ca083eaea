"""The page to try the API on: it signs in, and what it fills in works."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from app.api.main import DEFAULT_PASSWORD
from tests.browser.conftest import Watched, watch
from tests.browser.place import Place


@pytest.fixture
def docs(browser: Browser, place: Place) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    watched = watch(context.new_page(), place.origin)
    # Nobody is signed in yet: that is how the page finds out.
    watched.tolerate(401)
    watched.page.goto(f"{place.origin}/docs")
    yield watched
    watched.check()
    context.close()


def execute(page: Page, operation: str) -> str:
    """The status that the filled-in example of an operation is answered with."""
    block = page.locator(f'[id$="-{operation}"]')
    block.locator("button.opblock-summary-control").click()
    block.locator(".execute").click()
    status = block.locator(".live-responses-table tbody .response-col_status").first
    expect(status).not_to_be_empty()
    return status.inner_text().split()[0]


def test_the_try_it_page_signs_in_and_its_examples_work_on_both_surfaces(docs: Watched) -> None:
    page = docs.page
    page.locator("input[name=password]").fill(DEFAULT_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#who")).to_have_text("Signed in as admin")
    assert execute(page, "createCloneJob") == "202"
    assert execute(page, "listCloneJobs") == "200"
    assert execute(page, "CloneVmInstanceAnd6More") == "202"
    assert execute(page, "QueryVmInstance") == "200"
    docs.tolerate(401, 502)
    path = f"{docs.origin}/api/v1/session"
    page.route(path, lambda route: route.fulfill(status=502, json={"detail": "a proxy"}))
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#who")).to_have_text("a proxy")
    expect(page.locator("#sign-in")).to_be_hidden()
    page.unroute(path)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
