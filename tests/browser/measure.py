"""What a job of ten thousand names costs the browser: `python -m tests.browser.measure [NAMES]`.

Time to the first paint of its page while it runs, the JavaScript heap, what arrives a second, the
longest time without a frame meanwhile, and how much could be handled a second.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, sign_in
from tests.browser.place import browsed_place

WATCHED_S = 20.0
MIB = 1 << 20
# Counts what streams bring, and keeps them, so that more can be sent through them.
_COUNTED = """
window.counted = {messages: 0, items: 0, longest: 0};
window.streams = [];
const Stream = EventSource;
window.EventSource = class extends Stream {
  constructor(...given) {
    super(...given);
    streams.push(this);
    this.addEventListener("items", (event) => {
      counted.messages += 1;
      counted.items += JSON.parse(event.data).items.length;
    });
  }
};
let last = performance.now();
requestAnimationFrame(function frame(now) {
  counted.longest = Math.max(counted.longest, now - last);
  last = now;
  requestAnimationFrame(frame);
});
"""
# As many messages of 500 names as fit, each painted before the next.
_FLOODED = """
async ([uuid, names]) => {
  const answer = await fetch(`/api/v1/clone-jobs/${uuid}/items?limit=500`);
  const data = JSON.stringify({items: (await answer.json()).items});
  const stream = streams.at(-1);
  const messages = Math.ceil(names / 500);
  const began = performance.now();
  for (let n = 0; n < messages; n += 1) {
    stream.dispatchEvent(new MessageEvent("items", {data}));
    await new Promise(requestAnimationFrame);
  }
  return messages * 500 / (performance.now() - began) * 1000;
}
"""


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with (
        TemporaryDirectory() as home,
        browsed_place(Path(home), step_s=0) as place,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context().new_page()
        page.add_init_script(_COUNTED)
        page.goto(place.origin)
        sign_in(page)
        expect(page.locator("nav")).to_be_visible()
        job = place.clone("golden", names=[f"web-{n:05d}" for n in range(number)])
        page.goto("about:blank")
        page.goto(f"{place.origin}/#/jobs/{job}")
        expect(page.locator(".space .row").first).to_be_visible()
        _tell("first contentful paint", f"{_paint_ms(page):.0f} ms")
        rows_ms = page.evaluate("performance.now()")
        _tell("its rows are there", f"{rows_ms:.0f} ms at most")
        page.evaluate("Object.assign(counted, {messages: 0, items: 0, longest: 0})")
        time.sleep(WATCHED_S)
        counted: dict[str, Any] = page.evaluate("counted")
        _tell("messages", f"{counted['messages'] / WATCHED_S:.1f} a second")
        _tell("names in them", f"{counted['items'] / WATCHED_S:.0f} a second")
        _tell("longest time without a frame", f"{counted['longest']:.0f} ms")
        _scroll(page)
        _tell("heap after scrolling through all names", f"{_heap_bytes(page) / MIB:.1f} MiB")
        _tell("elements in the page", page.evaluate("document.querySelectorAll('*').length"))
        handled = page.evaluate(_FLOODED, [job, 50_000])
        _tell("names that could be handled", f"{handled:.0f} a second")
        browser.close()


def _tell(what: str, figure: object) -> None:
    print(f"{what:40} {figure}", flush=True)


def _paint_ms(page: Page) -> float:
    return float(
        page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    )


def _scroll(page: Page) -> None:
    page.get_by_role("grid").focus()
    for _ in range(600):
        page.keyboard.press("PageDown")
    page.keyboard.press("End")


def _heap_bytes(page: Page) -> int:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return int(next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize"))


if __name__ == "__main__":
    main()
