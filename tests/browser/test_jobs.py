"""Jobs as people see and steer them: submitted, watched, understood, tried again, cancelled."""

import re

import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect

from tests.browser.conftest import LIMIT_MS, Watched, sign_in, watch
from tests.browser.place import Place

BAR = "main [role=progressbar]"
FRAMES = """(many) => new Promise((done) => {
  const next = () => (many-- > 0 ? requestAnimationFrame(next) : done());
  next();
})"""


def wait_until(page: Page, condition: str) -> None:
    """By itself, since the page's policy allows Playwright's own way no expression."""
    page.evaluate(
        f"""(limitMs) => new Promise((done, failed) => {{
          const ends = performance.now() + limitMs;
          (function look() {{
            if ({condition}) done();
            else if (performance.now() > ends) failed(new Error(`never: {condition}`));
            else requestAnimationFrame(look);
          }})();
        }})""",
        LIMIT_MS,
    )


def hide(page: Page, is_hidden: bool) -> None:
    """As if another tab was looked at."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def requests_for(page: Page, part: str) -> list[str]:
    """Grows by each request whose address has `part`."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url) if part in request.url else None)
    return seen


def fill_form(page: Page, source: str, names: str) -> None:
    page.get_by_label("Source VM").fill(source)
    page.get_by_role("option", name=source).click()
    page.get_by_label("Names", exact=True).fill(names)


def state_of_job(page: Page, text: str) -> None:
    expect(page.locator("h1 .state")).to_have_text(text)


def ended(page: Page) -> int:
    """How many names the bar says have ended."""
    return int(page.locator(BAR).get_attribute("aria-valuenow") or "0")


def wait_for_more(page: Page, than: int) -> int:
    # A bar without a number is not one that has moved.
    another = re.compile(rf"^(?!{than}$)\d+$")
    expect(page.locator(BAR)).to_have_attribute("aria-valuenow", another)
    return ended(page)


def test_a_failed_name_is_understood_and_tried_again(browser: Browser, place: Place) -> None:
    """From the sign-in on, in one page that is never loaded again."""
    context = browser.new_context(locale="en-GB")
    watched = watch(context.new_page(), place.origin)
    page = watched.page
    page.goto(watched.origin)
    page.evaluate("window.isTheSamePage = true")
    sign_in(page)

    page.get_by_role("link", name="Clone a VM").first.click()
    fill_form(page, "lab-template", "lab-{001..200}")
    expect(page.locator("output")).to_contain_text("200 names")
    with place.slowly():
        page.get_by_role("button", name="Clone", exact=True).click()
        # The bar moves by itself, more than once.
        expect(page.locator(".live")).to_have_text("Live")
        seen = wait_for_more(page, than=0)
        wait_for_more(page, than=seen)
    state_of_job(page, "Partly succeeded")
    assert ended(page) == 200

    # The range is one address too small, and the panel says so.
    page.get_by_label("State").select_option("Failed")
    failed = page.get_by_role("row", name="lab-")
    expect(failed).to_have_count(1)
    failed.click()
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text("L3.1000")
    expect(panel).to_contain_text("no ip is available")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.get_by_role("grid", name="Names")).to_be_focused()

    place.declare(last_lab_ip="10.30.0.250")
    page.get_by_role("button", name="Retry what failed").click()
    expect(page.locator("main")).to_contain_text("Tries again what failed in job")
    state_of_job(page, "Succeeded")
    assert ended(page) == 1

    # What was tried again is not offered a second time.
    page.get_by_text("Tries again what failed in job").get_by_role("link").click()
    state_of_job(page, "Partly succeeded")
    expect(page.locator("main")).to_contain_text("What failed was tried again in job")
    expect(page.get_by_role("button", name="Destroy")).to_be_visible()
    expect(page.get_by_role("button", name="Retry what failed")).to_be_hidden()
    assert page.evaluate("window.isTheSamePage")
    watched.check()
    context.close()


def test_a_job_is_paused_resumed_and_cancelled(watched: Watched) -> None:
    page = watched.page
    watched.go("clone")
    fill_form(page, "golden", "slow-{001..500}")
    page.get_by_role("button", name="Clone", exact=True).click()
    wait_for_more(page, than=0)
    page.get_by_role("button", name="Pause").click()
    state_of_job(page, "Paused")
    page.get_by_role("button", name="Resume").click()
    state_of_job(page, "Running")
    page.get_by_role("button", name="Cancel job").click()
    question = page.get_by_role("dialog", name="Cancel this job?")
    question.get_by_role("button", name="Cancel job").click()
    state_of_job(page, "Partly succeeded")
    expect(page.get_by_role("button", name="Destroy its VMs")).to_be_visible()

    watched.go("jobs")
    row = page.get_by_role("row").filter(has_text="golden").first
    expect(row).to_contain_text("500 of 500")


def test_a_job_that_is_being_cancelled_says_so(watched: Watched, place: Place) -> None:
    job = place.clone("golden", names=[f"canceling-{n}" for n in range(300)])
    place.control(job, "pause")
    page = watched.page
    watched.go(f"jobs/{job}")
    state_of_job(page, "Paused")
    wait_until(page, f"streams.stateOf['{job}']")
    hide(page, True)  # nothing else is told
    page.evaluate(
        """async (uuid) => {
          const job = await (await fetch(`/api/v1/clone-jobs/${uuid}`)).json();
          const data = JSON.stringify({ ...job, cancelRequestedAt: job.createdAt });
          streams.at(-1).dispatchEvent(new MessageEvent("job", { data }));
        }""",
        job,
    )
    state_of_job(page, "Canceling")
    for verb in ("Pause", "Resume", "Cancel job"):
        expect(page.get_by_role("button", name=verb)).to_be_hidden()


def test_what_a_job_made_is_destroyed_after_a_question(watched: Watched, place: Place) -> None:
    job = place.clone("golden", names=["gone-1", "gone-2"])
    place.wait_for(job)
    page = watched.page
    watched.go(f"jobs/{job}")
    page.get_by_role("button", name="Destroy its VMs").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("2 VMs")
    question.get_by_label("Expunge at once").check()
    question.get_by_role("button", name="Destroy its VMs").click()
    expect(page.locator("h1")).to_contain_text("Expunge VMs")
    state_of_job(page, "Succeeded")
    page.get_by_role("row", name="gone-1").click()
    expect(page.get_by_role("dialog")).to_contain_text("Succeeded")


def test_nothing_can_be_asked_of_a_job_that_is_not_known_yet(
    watched: Watched, place: Place
) -> None:
    job = place.clone("golden", names=["late-1"])
    place.wait_for(job)
    page = watched.page
    path = f"{watched.origin}/api/v1/clone-jobs/{job}"
    held: list[Route] = []
    page.route(path, lambda route: held.append(route))
    with page.expect_request(path):
        watched.go(f"jobs/{job}")
    expect(page.get_by_role("link", name="← Jobs")).to_be_visible()
    remove = page.get_by_role("button", name="Destroy its VMs")
    expect(remove).to_have_count(0)
    held.pop().continue_()
    expect(remove).to_be_visible()


def test_the_stream_outlives_a_restart_of_the_server(watched: Watched, place: Place) -> None:
    watched.tolerate("ERR_", "status of 50")  # the server is away
    page = watched.page
    job = place.clone("golden", names=[f"kept-{n}" for n in range(300)])
    place.control(job, "pause")  # it does not end while the server is away
    watched.go(f"jobs/{job}")
    state_of_job(page, "Paused")
    expect(page.locator(".live")).to_have_text("Live")
    page.get_by_label("State").select_option("Waiting")
    expect(page.get_by_role("row", name="kept-").first).to_be_visible()
    place.kill_api()
    expect(page.locator(".live")).to_contain_text("Not live")
    expect(page.locator(".live")).to_have_text("Live")
    expect(page.get_by_role("row", name="kept-").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    state_of_job(page, "Succeeded")
    assert ended(page) == 300
    expect(page.get_by_role("row", name="kept-")).to_have_count(0)


def test_a_refused_job_has_no_names_and_they_are_asked_for_once(
    watched: Watched, place: Place
) -> None:
    job = place.refused()
    page = watched.page
    asked = requests_for(page, f"/clone-jobs/{job}/items")
    watched.go(f"jobs/{job}")
    expect(page.get_by_text("No name was begun.")).to_be_visible()
    expect(page.locator(".space .row").first).to_be_hidden()
    page.evaluate(FRAMES, 60)
    # Once before the stream is open and once after.
    assert len(asked) <= 2, asked


@pytest.mark.parametrize("state", ["", "Succeeded"])
def test_names_that_do_not_come_are_asked_for_again_but_not_at_once(
    watched: Watched, place: Place, state: str
) -> None:
    watched.tolerate(502)
    job = place.clone("golden", names=["asked-1"])
    place.wait_for(job)
    page = watched.page
    asked = requests_for(page, f"/clone-jobs/{job}/items")
    is_items = re.compile(f"/clone-jobs/{job}/items")
    watched.go(f"jobs/{job}")
    expect(page.get_by_role("row", name="asked-1")).to_be_visible()
    page.route(is_items, lambda route: route.fulfill(status=502, body="a proxy"))
    page.get_by_label("State").select_option("Failed")
    page.get_by_label("State").select_option(state)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("a proxy")
    asked.clear()
    page.evaluate(FRAMES, 60)
    assert len(asked) <= 4, asked
    expect(page.get_by_text("No name is in this state.")).to_be_hidden()
    alert.get_by_role("button", name="Dismiss").click()
    with page.expect_request(is_items):
        pass  # the next try, of whose fault nothing new is to be said
    expect(alert).to_have_count(0)
    page.unroute(is_items)
    expect(page.get_by_role("row", name="asked-1")).to_be_visible()


def test_a_hidden_tab_holds_no_stream_and_goes_on_where_it_was(
    watched: Watched, place: Place
) -> None:
    job = place.clone("golden", names=[f"hidden-{n}" for n in range(300)])
    place.control(job, "pause")
    page = watched.page
    watched.go(f"jobs/{job}")
    expect(page.locator(".live")).to_have_text("Live")
    wait_until(page, f"streams.lastIdOf['{job}']")
    hide(page, True)
    wait_until(page, "streams.every((one) => one.readyState === EventSource.CLOSED)")
    place.control(job, "resume")
    place.wait_for(job)
    with page.expect_request(re.compile(f"{job}/events.lastEventId=")):
        hide(page, False)
    state_of_job(page, "Succeeded")


def test_a_retry_whose_answer_was_lost_is_made_once(watched: Watched, place: Place) -> None:
    watched.tolerate("ERR_FAILED")
    job = place.clone("golden", names=[f"lost-{n}" for n in range(300)])
    place.control(job, "cancel")
    place.wait_for(job)
    page = watched.page
    made: list[str] = []

    def lose_the_first(route: Route) -> None:
        answer = route.fetch()
        made.append(answer.json()["uuid"])
        if len(made) > 1:
            route.fulfill(response=answer)
        else:
            route.abort()

    page.route(re.compile(f"{job}/retry"), lose_the_first)
    watched.go(f"jobs/{job}")
    retry = page.get_by_role("button", name="Retry what failed")
    retry.click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    retry.click()
    expect(page.locator("main")).to_contain_text("Tries again what failed in job")
    assert len(made) == 2
    assert made[0] == made[1]


def test_news_of_a_name_leave_the_focus_where_it_is(watched: Watched, place: Place) -> None:
    job = place.clone("golden", names=[f"focus-{n}" for n in range(300)])
    place.control(job, "pause")
    page = watched.page
    watched.go(f"jobs/{job}")
    page.get_by_label("State").select_option("Waiting")
    page.get_by_role("row", name="focus-").first.click()
    cancel = page.get_by_role("dialog").get_by_role("button", name="Cancel this name")
    cancel.focus()
    page.evaluate(
        """async (job) => {
          const asked = await fetch(`/api/v1/clone-jobs/${job}/items?state=Waiting`);
          const items = (await asked.json()).items.map((item) => ({ ...item, attempts: 7 }));
          const data = JSON.stringify({ items });
          streams.at(-1).dispatchEvent(new MessageEvent("items", { data }));
        }""",
        job,
    )
    expect(page.get_by_role("dialog")).to_contain_text("Attempts7")
    expect(cancel).to_be_focused()


def test_a_job_that_cannot_be_read_at_first_is_asked_for_again(
    watched: Watched, place: Place
) -> None:
    watched.tolerate(502)
    job = place.clone("golden", names=["again-1"])
    page = watched.page
    path = f"{watched.origin}/api/v1/clone-jobs/{job}"
    page.route(path, lambda route: route.fulfill(status=502, body="a proxy"))
    watched.go(f"jobs/{job}")
    expect(page.get_by_role("alert")).to_contain_text("a proxy")
    page.unroute(path)
    state_of_job(page, "Succeeded")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_list_that_comes_late_takes_back_nothing_that_was_told(
    watched: Watched, place: Place
) -> None:
    job = place.clone("golden", names=[f"listed-{n}" for n in range(300)])
    place.control(job, "pause")
    page = watched.page
    held: list[tuple[Route, APIResponse]] = []
    listed = re.compile("/api/v1/clone-jobs.limit")
    page.route(listed, lambda route: held.append((route, route.fetch())))
    watched.go("jobs")
    wait_until(page, "streams.some((one) => one.readyState === EventSource.OPEN)")
    row = page.get_by_role("row").filter(has_text=job[:8])
    wait_until(page, f"streams.stateOf['{job}']")
    place.control(job, "cancel")
    place.wait_for(job)
    wait_until(page, f"streams.stateOf['{job}'] === 'Finished'")
    for route, answer in held:
        route.fulfill(response=answer)
    page.evaluate(FRAMES, 10)
    expect(row).to_contain_text(re.compile("Canceled|Partly succeeded"))


def test_only_the_names_that_are_seen_are_in_the_page(watched: Watched, place: Place) -> None:
    job = place.clone(
        "golden", names=[f"many-{n:05d}" for n in range(10_000)], strategy="JustCreate"
    )
    place.wait_for(job)
    page = watched.page
    watched.go(f"jobs/{job}")
    expect(page.get_by_role("row", name="many-00000")).to_be_visible()
    rows = page.locator(".space .row")
    assert rows.count() < 60
    grid = page.get_by_role("grid", name="Names")
    assert grid.get_attribute("aria-rowcount") == "10000"
    grid.focus()
    page.keyboard.press("End")
    last = page.get_by_role("row", name="many-09999")
    expect(last).to_be_visible()
    assert rows.count() < 60
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="many-09999")).to_be_visible()
