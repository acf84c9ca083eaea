// Windowed rows: ten thousand names are as many as fit on the screen.
//
// The grid itself keeps the focus and names its active row, so that no row that is scrolled away
// takes the focus with it.

import { everyFrame, h, newId, setAttribute } from "../dom.js";

const OVERSCAN = 6;

/**
 * `makeRow()` gives a `.row` element with `paint(data or undefined, index)`; `source` has `count`,
 * `at(row)` and `need(first, last)`; `open(row)` is called for a click or Enter.
 */
export function windowedRows({ label, head, makeRow, open }) {
  const space = h("div.space", { role: "rowgroup" });
  const scroller = h("div.scroller", { role: "grid", tabindex: 0, "aria-label": label }, space);
  const node = h("div.grid", {}, h("div.head", { "aria-hidden": "true" }, head), scroller);
  const id = newId("row");
  let source = null;
  let active = 0;
  let height = 36;
  let pool = [];

  const repaint = everyFrame(paint);

  function paint() {
    if (!source || !node.isConnected) return;
    height = parseFloat(getComputedStyle(node).getPropertyValue("--row")) || 36;
    const total = source.count;
    space.style.height = `${Math.max(total, 1) * height}px`;
    setAttribute(scroller, "aria-rowcount", total);
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - OVERSCAN);
    const seen = Math.ceil((scroller.clientHeight || 400) / height) + 2 * OVERSCAN;
    const last = Math.min(total - 1, first + seen);
    fitPool(Math.min(seen + 1, total));
    for (let row = first; row <= last; row += 1) place(pool[row % pool.length], row);
    source.need(first, last);
    const current = pool.length ? pool[active % pool.length] : null;
    setAttribute(scroller, "aria-activedescendant", current?.row === active ? current.id : null);
  }

  function fitPool(size) {
    while (pool.length > size) pool.pop().remove();
    while (pool.length < size) {
      const row = makeRow();
      row.id = `${id}-${pool.length}`;
      row.addEventListener("click", () => {
        active = row.row;
        scroller.focus({ preventScroll: true });
        repaint();
        open(row.row);
      });
      pool.push(row);
      space.append(row);
    }
  }

  function place(element, row) {
    element.row = row;
    const to = `translateY(${row * height}px)`;
    if (element.style.transform !== to) element.style.transform = to;
    setAttribute(element, "aria-rowindex", row + 1);
    element.classList.toggle("active", row === active);
    element.paint(source.at(row), row);
  }

  function moveTo(row) {
    if (!source?.count) return;
    active = Math.min(source.count - 1, Math.max(0, row));
    const top = active * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    repaint();
  }

  scroller.addEventListener("scroll", repaint, { passive: true });
  scroller.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(scroller.clientHeight / height) - 1);
    const target = {
      ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page,
      Home: 0, End: (source?.count ?? 1) - 1,
    }[event.key];
    if (target !== undefined) {
      event.preventDefault();
      moveTo(target);
    } else if (event.key === "Enter" && source?.count) {
      event.preventDefault();
      open(active);
    }
  });
  const resized = new ResizeObserver(repaint);
  resized.observe(scroller);

  node.repaint = repaint;
  node.show = (newSource) => {
    source = newSource;
    active = 0;
    scroller.scrollTop = 0;
    repaint();
  };
  node.stop = () => resized.disconnect();
  return node;
}
