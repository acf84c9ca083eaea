"""Every page: for keyboards, screen readers and phones, in both languages and both schemes."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from app.api.main import DEFAULT_PASSWORD
from tests.browser.conftest import Watched, sign_in, watch
from tests.browser.place import Place

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def job(place: Place) -> str:
    """A finished one in which a name failed."""
    # The annex has 9 addresses.
    uuid = place.clone("annex-template", names=[f"annex-{n}" for n in range(10)])
    assert place.wait_for(uuid)["outcome"] == "PartiallySucceeded"
    return uuid


def faults_of(page: Page) -> list[str]:
    """What keeps somebody from using the page as it is now."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


def each_page(watched: Watched, job: str) -> Iterator[str]:
    """Its name, once it stands as people see it."""
    page = watched.page
    watched.go("jobs")
    expect(page.get_by_role("row").filter(has_text="annex-template")).to_be_visible()
    yield "jobs"
    watched.go(f"jobs/{job}")
    expect(page.get_by_role("row", name="annex-0 ")).to_be_visible()
    yield "job"
    page.locator("#item-state").select_option("Failed")
    expect(page.locator(".space .row").first.locator(".mark.bad")).to_be_visible()
    # The few words beside it begin with the reason.
    expect(page.locator(".space .row .error").first).not_to_contain_text("unable to create")
    page.locator(".space .row").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("L3.1000")
    yield "name"
    page.keyboard.press("Escape")
    page.locator(".title .danger").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "question"
    page.keyboard.press("Escape")
    watched.go("clone")
    page.locator("#clone-names").fill("web-{3..1}")
    page.locator("summary").click()
    page.locator("button[type=submit]").click()
    expect(page.locator("#clone-source-wrong")).to_be_visible()
    yield "form"
    watched.go("capacity")
    expect(page.locator("tbody").first).to_contain_text("node-1")
    yield "capacity"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anybody_out(watched: Watched, job: str, scheme: str) -> None:
    watched.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = {name: faults_of(watched.page) for name in each_page(watched, job)}
    assert found == {name: [] for name in found}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_sign_in(browser: Browser, place: Place, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, locale="en-GB")  # type: ignore[arg-type]
    watched = watch(context.new_page(), place.origin)
    watched.tolerate(401)  # that is what it is about
    watched.page.goto(watched.origin)
    assert faults_of(watched.page) == []
    sign_in(watched.page, "wrong")
    alert = watched.page.get_by_role("alert")
    expect(alert).to_contain_text("ID.1000")
    expect(alert).to_contain_text("wrong account name or password")
    expect(alert).not_to_contain_text("access key")
    assert faults_of(watched.page) == []
    watched.check()
    context.close()


@pytest.mark.parametrize("language", ["English", "中文"])
def test_on_a_phone_nothing_scrolls_sideways(watched: Watched, job: str, language: str) -> None:
    page = watched.page
    page.set_viewport_size({"width": 390, "height": 844})
    watched.go("jobs")
    if language != "English":
        page.get_by_role("button", name=language).click()
    for name in each_page(watched, job):
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, name


def test_the_language_is_changed_and_kept(watched: Watched) -> None:
    page = watched.page
    watched.go("jobs")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="任务", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.reload()
    expect(page.get_by_role("link", name="克隆虚拟机").first).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_the_scheme_is_chosen_against_the_systems(watched: Watched) -> None:
    page = watched.page
    watched.go("jobs")
    switch = page.get_by_role("button", name="Colour scheme")
    for scheme in ("light", "dark"):
        switch.click()
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 26)"


def test_the_form_needs_no_mouse(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    expect(page.get_by_role("heading", name="Clone a VM")).to_be_visible()
    keys = page.keyboard
    _tab_to(page, "clone-source")
    keys.type("gold")
    expect(page.get_by_role("option", name="golden")).to_be_visible()
    keys.press("Enter")
    keys.press("Tab")
    assert _focused(page) == "clone-names"
    keys.type("typed-{1..3}")
    keys.press("Tab")
    keys.press("ArrowDown")  # the second way of the radios: leave them stopped
    keys.press("Tab")
    keys.press("Space")  # data volumes too
    keys.press("Tab")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.type") == "submit"
    keys.press("Enter")
    expect(page.locator("h1 .state")).to_have_text("Succeeded")
    _tab_to(page, "grid")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.get_by_role("dialog", name="typed-2")).to_be_visible()
    keys.press("Escape")
    assert _focused(page) == "grid"


def test_a_destroyed_vm_is_not_offered_as_a_source(watched: Watched, place: Place) -> None:
    job = place.clone("golden", names=["ghost-1"])
    place.wait_for(job)
    place.destroy(job)
    page = watched.page
    watched.go("clone")
    page.get_by_label("Source VM").fill("ghost-1")
    expect(page.get_by_text("Nothing matches")).to_be_visible()


def test_a_preview_tells_what_would_happen_and_reserves_nothing(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    page.get_by_label("Source VM").fill("gold")
    page.get_by_role("option", name="golden").click()
    page.get_by_label("Names", exact=True).fill("seen-{1..3}")
    page.get_by_role("button", name="Preview").click()
    plan = page.get_by_role("region", name="What would happen")
    expect(plan.get_by_role("row", name="seen-3")).to_contain_text("10.10.")
    expect(page.get_by_text("Nothing is reserved by a preview")).to_be_visible()
    watched.go("jobs")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    assert page.get_by_text("seen-3").count() == 0


def test_a_preview_is_of_the_form_as_it_stands(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    source = page.get_by_label("Source VM")
    names = page.get_by_label("Names", exact=True)
    plan = page.get_by_role("region", name="What would happen")

    def choose(name: str) -> None:
        source.fill(name)
        page.get_by_role("option", name=name).click()

    choose("golden")
    names.fill("stands-{1..3}")
    page.get_by_role("button", name="Preview").click()
    expect(plan).to_be_visible()
    # Another one of the list that is there, by the mouse alone.
    source.click()
    page.get_by_role("option", name="annex-template").click()
    expect(plan).to_be_hidden()

    held: list[Route] = []
    dry = re.compile("dryRun")
    page.route(dry, lambda route: held.append(route))
    with page.expect_request(dry):
        page.get_by_role("button", name="Preview").click()
    names.fill("others-{1..3}")
    with page.expect_response(dry):
        held.pop().continue_()
    expect(page.get_by_role("button", name="Preview")).to_be_enabled()
    expect(plan).to_be_hidden()


def test_a_mistaken_pattern_makes_no_vm_of_that_name(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    page.get_by_label("Source VM").fill("golden")
    page.get_by_role("option", name="golden").click()
    page.get_by_label("Names", exact=True).fill("typo-{1-9}")
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.locator("#clone-names-wrong")).to_contain_text("braces that are no range")
    assert "#/clone" in page.url


def test_what_was_typed_outlives_the_language_and_the_session(watched: Watched) -> None:
    watched.tolerate(400, 401)
    page = watched.page
    watched.go("clone")
    page.get_by_label("Source VM").fill("golden")
    page.get_by_role("option", name="golden").click()
    page.get_by_label("Names", exact=True).fill("typed-{7..9}")
    page.get_by_label("Leave them stopped").check()
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#clone-names")).to_have_value("typed-{7..9}")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_label("Source VM")).to_be_visible()
    expect(page.locator("#clone-root option")).to_have_count(2)  # the last thing it asks for
    page.context.clear_cookies()
    page.get_by_role("button", name="Clone", exact=True).click()
    sign_in(page)
    expect(page.get_by_label("Source VM")).to_have_value("golden")
    expect(page.get_by_label("Leave them stopped")).to_be_checked()
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.locator("h1 .state")).to_have_text("Succeeded")
    watched.go("clone")
    expect(page.locator("#clone-names")).to_have_value("")


def test_whose_session_has_ended_signs_in_and_is_where_he_was(watched: Watched) -> None:
    watched.tolerate(400, 401)
    page = watched.page
    watched.go("jobs")
    expect(page.locator("nav")).to_be_visible()
    page.context.clear_cookies()
    watched.go("capacity")
    sign_in(page)
    expect(page.get_by_role("heading", name="Capacity", exact=True)).to_be_visible()


def test_a_session_that_a_search_finds_ended_leads_to_the_sign_in(watched: Watched) -> None:
    """By ZStack's queries, whose answers to that are ZStack's."""
    watched.tolerate(400, 401)
    page = watched.page
    watched.go("clone")
    expect(page.get_by_label("Source VM")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()
    page.get_by_label("Source VM").fill("gold")
    sign_in(page)
    expect(page.get_by_label("Source VM")).to_be_visible()


def test_a_sign_out_that_fails_does_not_look_done(browser: Browser, place: Place) -> None:
    context = browser.new_context(locale="en-GB")  # with a session of its own to be ended
    watched = watch(context.new_page(), place.origin)
    watched.tolerate(502)
    page = watched.page
    watched.go("capacity")
    sign_in(page)
    path = f"{watched.origin}/api/v1/session"
    page.route(path, lambda route: route.fulfill(status=502, body="a proxy"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("a proxy")
    expect(page.locator("nav")).to_be_visible()
    page.unroute(path)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    watched.check()
    context.close()


def test_a_tab_that_only_shows_follows_the_sign_in_of_another(
    browser: Browser, place: Place
) -> None:
    context = browser.new_context(locale="en-GB")  # with a session of its own to be ended
    watched = watch(context.new_page(), place.origin)
    watched.tolerate(401)  # it may ask once more before it hears of it
    watched.go("capacity")
    sign_in(watched.page)
    expect(watched.page.locator("nav")).to_be_visible()
    other = watch(context.new_page(), place.origin)
    other.tolerate(400, 401)  # what it is still asking for when it signs out
    other.go("jobs")
    other.page.get_by_role("button", name="Sign out").click()
    expect(watched.page.get_by_label("Password")).to_be_visible()
    sign_in(other.page)
    expect(watched.page.get_by_role("heading", name="Capacity", exact=True)).to_be_visible()
    watched.check()
    other.check()
    context.close()


def test_who_signed_in_in_another_tab_is_who_is_signed_in(watched: Watched, place: Place) -> None:
    watched.tolerate(403)
    job = place.clone("golden", names=[f"tab-{n}" for n in range(300)])
    place.control(job, "pause")
    page = watched.page
    watched.go(f"jobs/{job}")
    resume = page.get_by_role("button", name="Resume")
    expect(resume).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{watched.origin}/docs")
    sign_in_by_api = """async (body) => (await fetch("/api/v1/session", {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
    })).status"""
    admin = {"accountName": "admin", "password": DEFAULT_PASSWORD}
    assert other.evaluate(sign_in_by_api, admin) == 200
    other.close()
    page.evaluate("document.querySelector('main').id = 'of-the-old-session'")
    resume.click()
    expect(page.locator("#main")).to_be_visible()
    resume.click()
    expect(page.locator("h1 .state")).not_to_have_text("Paused")


def test_what_a_form_lacks_is_said_beside_it_and_focused(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.get_by_text("Choose a VM of the list.")).to_be_visible()
    assert _focused(page) == "clone-source"
    expect(page.get_by_label("Source VM")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("typed", ["%", "..%2F..%2Fversion", "x?"])
def test_an_address_that_is_none_is_told(watched: Watched, typed: str) -> None:
    watched.tolerate(404)
    watched.go(f"jobs/{typed}")
    expect(watched.page.get_by_role("alert")).to_be_visible()


def test_where_a_language_does_not_come_english_is_spoken(watched: Watched) -> None:
    watched.tolerate(502)
    page = watched.page
    chinese = re.compile("lang/zh.json")
    page.route(chinese, lambda route: route.fulfill(status=502, body="a proxy"))
    watched.go("jobs")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.evaluate("localStorage.setItem('vmclone.language', 'zh')")
    page.reload()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.unroute(chinese)
    page.reload()
    expect(page.get_by_role("heading", name="任务", exact=True)).to_be_visible()


def test_an_unknown_job_is_told_with_its_code(watched: Watched) -> None:
    watched.tolerate(404)
    watched.go(f"jobs/{'0' * 32}")
    expect(watched.page.get_by_role("alert")).to_contain_text("SYS.1003")
    watched.page.get_by_role("button", name="中文").click()
    told = watched.page.get_by_role("alert")
    expect(told).to_contain_text("找不到资源")
    expect(told).to_contain_text("请更正详情中指出的 UUID")


def _focused(page: Page) -> str:
    return str(
        page.evaluate("document.activeElement.id || document.activeElement.getAttribute('role')")
    )


def _tab_to(page: Page, name: str) -> None:
    for _ in range(30):
        if _focused(page) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {name}")
