"""Pictures of every page, in both languages, both schemes and two widths:
`python -m tests.browser.pictures FOLDER`."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, sign_in
from tests.browser.place import Place, browsed_place

LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}
SCHEMES = ("light", "dark")
SIZES = {1440: 900, 390: 844}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as home,
        browsed_place(Path(home), step_s=0.02) as place,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        jobs = _fill(place)
        for language, scheme, width in itertools.product(LANGUAGES, SCHEMES, SIZES):
            _take(browser, place, jobs, folder, language=language, scheme=scheme, width=width)
        browser.close()


def _fill(place: Place) -> dict[str, str]:
    """Jobs of several fates: the uuids of the finished one and of one that runs for long."""
    partly = place.clone("lab-template", names=[f"lab-{n:03d}" for n in range(1, 201)])
    place.wait_for(partly)
    place.wait_for(place.clone("golden", names=[f"canary-{n}" for n in range(1, 6)]))
    full = {"full": True, "systemTags": ["cloneMode::full"]}
    names = [f"web-{n:04d}" for n in range(1, 10_001)]
    running = place.clone("golden", names=names, **full)
    place.clone("golden", names=[f"batch-{n:03d}" for n in range(1, 401)])
    return {"partly": partly, "running": running}


def _take(
    browser: Browser,
    place: Place,
    jobs: dict[str, str],
    folder: Path,
    *,
    language: str,
    scheme: Any,
    width: int,
) -> None:
    context = browser.new_context(
        locale=LANGUAGES[language],
        color_scheme=scheme,
        viewport={"width": width, "height": SIZES[width]},
    )
    page = context.new_page()
    page.goto(place.origin)
    expect(page.locator("#field-password")).to_be_visible()
    page.screenshot(path=folder / f"sign-in-{language}-{scheme}-{width}.png")
    sign_in(page)
    for name, (route, prepare) in _pages(jobs).items():
        page.goto(f"{place.origin}/#/{route}")
        prepare(page)
        page.screenshot(path=folder / f"{name}-{language}-{scheme}-{width}.png")
        page.keyboard.press("Escape")
    context.close()


def _pages(jobs: dict[str, str]) -> dict[str, tuple[str, Callable[[Page], None]]]:
    return {
        "jobs": ("jobs", _when("tbody tr")),
        "job": (f"jobs/{jobs['running']}", _when(".space .mark.ok")),
        "name": (f"jobs/{jobs['partly']}", _open_failed),
        "made": (f"jobs/{jobs['partly']}", _open_made),
        "clone": ("clone", _fill_form),
        "capacity": ("capacity", _when("tbody tr")),
    }


def _when(selector: str) -> Callable[[Page], None]:
    def wait(page: Page) -> None:
        expect(page.locator(selector).first).to_be_visible()
        if page.locator(".live").count() and "capacity" not in page.url:
            expect(page.locator(".live svg")).to_be_visible()

    return wait


def _open_failed(page: Page) -> None:
    expect(page.locator("#item-state")).to_be_visible()
    page.locator("#item-state").select_option("Failed")
    page.locator(".space .row").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _open_made(page: Page) -> None:
    page.locator("#item-state").select_option("Succeeded")
    expect(page.locator(".space .mark.ok").nth(2)).to_be_visible()
    page.locator(".space .row").nth(1).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _fill_form(page: Page) -> None:
    page.locator("#clone-source").fill("gold")
    page.get_by_role("option", name="golden").click()
    page.locator("#clone-names").fill("web-{001..100}")


if __name__ == "__main__":
    main()
