// One name: its row among the others, and the panel that tells everything of it.

import { call } from "../api.js";
import { h, setText } from "../dom.js";
import { bytes, count, moment, rate } from "../format.js";
import { said, t, word } from "../i18n.js";
import { width } from "../parts/bar.js";
import { sidePanel } from "../parts/dialog.js";
import { fault } from "../parts/fault.js";
import { itemState } from "../parts/mark.js";
import { windowedRows } from "../parts/rows.js";
import { timeline } from "../parts/timeline.js";

const COLUMNS = ["number", "name", "state", "step", "host", "note"];
const CLASSES = ["", "cut", "", "step.mid", "cut.wide", "cut.wide"];
const CANCELABLE = new Set(["Waiting", "Granted", "Running", "Made"]);

/** `open(row)` is called for the row that is chosen. */
export function itemRows(open) {
  const head = h("div.row", {}, COLUMNS.map((name, n) => h(`span.${CLASSES[n] || "c"}`, {}, t(`item.${name}`))));
  return windowedRows({ label: t("job.names"), head, makeRow, open });
}

function makeRow() {
  const number = h("span.c.small", { role: "gridcell" });
  const name = h("span.cut", { role: "gridcell" });
  const state = itemState();
  const words = h("span.cut");
  const part = h("i.running");
  const bar = h("span.bar.thin", {}, part);
  const host = h("span.cut.wide", { role: "gridcell" });
  const note = h("span.cut.wide", { role: "gridcell" });
  const row = h(
    "div.row",
    { role: "row" },
    number,
    name,
    h("span.c", { role: "gridcell" }, state),
    h("span.mid.cut", { role: "gridcell" }, words, bar),
    host,
    note,
  );
  row.paint = (item, index) => {
    setText(number, count(index + 1));
    state.hidden = !item;
    bar.hidden = !item?.bytesTotal || item.state !== "Running";
    setText(name, item?.name ?? "…");
    setText(words, item ? stepText(item) : "");
    setText(host, item?.hostName ?? "");
    setText(note, item ? noteText(item) : "");
    note.classList.toggle("error", Boolean(item?.error));
    if (!item) return;
    setText(number, count(item.ordinal + 1));
    state.paint(item);
    if (!bar.hidden) width(part, item.bytesDone / item.bytesTotal);
  };
  return row;
}

function stepText(item) {
  if (!item.step || !item.stepNumber) return "";
  if (item.state === "Succeeded") return "";
  return t("item.stepOf", { number: item.stepNumber, count: item.stepCount, step: word("step", item.step) });
}

function noteText(item) {
  // There is room for a few words: not for its name, which stands beside them.
  const details = item.error?.details?.replace(`unable to create vm[name:${item.name}]: `, "");
  if (item.error) return details || said(`error.${item.error.code}`, item.error.description);
  if (item.waitReason) return word("wait", item.waitReason);
  return item.method ? word("method", item.method) : "";
}

/** The panel of `item`; `opened.panel` is it as long as it is open. */
export function openItem(jobUuid, item, opened, failure) {
  if (!item) return;
  const content = contentOf({ close: () => panel.close(), cancel });
  let now = item;

  async function cancel() {
    panel.close();
    await failure.guard(async () => {
      patch([await call(`/api/v1/clone-jobs/${jobUuid}/items/${now.uuid}/cancel`, { method: "POST" })]);
    });
  }

  function patch(items) {
    const newer = items.find((each) => each.uuid === now.uuid);
    if (!newer || JSON.stringify(newer) === JSON.stringify(now)) return;
    now = newer;
    content.paint(now);
  }

  const panel = sidePanel(content, { labelledby: "item-title", closed: () => { opened.panel = null; } });
  opened.panel = { patch, close: () => panel.close() };
  content.paint(now);
  content.querySelector("button").focus();
}

/** `paint(item)` draws anew what is told; the buttons stay, and so does the focus on one. */
function contentOf({ close, cancel }) {
  const name = h("h2", { id: "item-title" });
  const state = itemState();
  const leave = h("button.button", { type: "button", onclick: close }, t("dialog.close"));
  const about = h("div");
  const stop = h("button.button.danger", { type: "button", onclick: cancel }, t("item.cancel"));
  const stopping = h("section", {}, h("div", {}, stop));
  const node = h("div", {}, h("header", {}, h("div", {}, name, state), leave), about, stopping);
  node.paint = (item) => {
    setText(name, item.name);
    state.paint(item);
    about.replaceChildren(...told(item));
    const isFocused = document.activeElement === stop;
    stopping.hidden = !CANCELABLE.has(item.state);
    // The keyboard would be lost with the button under it.
    if (isFocused && stopping.hidden) leave.focus();
  };
  return node;
}

function told(item) {
  return [
    item.error ? h("section", {}, fault(item.error)) : null,
    item.waitReason ? h("section", {}, h("p", {}, t("item.waits", { reason: word("wait", item.waitReason) }))) : null,
    h("section", {}, h("h3", {}, t("item.steps")), timeline(item)),
    h("section", {}, facts(item)),
  ].filter(Boolean);
}

function facts(item) {
  const rows = [
    ["item.vm", item.vmUuid && h("code", {}, item.vmUuid)],
    ["item.host", item.hostName ?? item.hostUuid],
    ["item.method", item.method && word("method", item.method)],
    ["item.bytes", item.bytesTotal ? t("job.bytes", { done: bytes(item.bytesDone), total: bytes(item.bytesTotal) }) : null],
    ["jobs.rate", item.rateBytesPerSecond ? rate(item.rateBytesPerSecond) : null],
    ["item.attempts", item.attempts ? count(item.attempts) : null],
    ["item.started", item.startedAt && moment(item.startedAt)],
    ["item.finished", item.finishedAt && moment(item.finishedAt)],
    ["item.identity", identity(item.identity)],
  ];
  return h("dl.facts", {}, rows.filter(([, value]) => value).map(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
}

function identity(given) {
  if (!given) return null;
  if (typeof given === "string") return word("identity", given);
  return given.state ? word("identity", given.state) : JSON.stringify(given);
}
