// A state as a shape, a word and a colour: none of them alone.

import { h, svg } from "../dom.js";
import { t, word } from "../i18n.js";

const SHAPES = {
  waiting: ["off", () => [circle()]],
  running: ["running", () => [circle(), svg("path", { class: "solid", d: "M8 2.5a5.5 5.5 0 0 1 0 11z" })]],
  ok: ["ok", () => [svg("path", { d: "M3 8.5l3.5 3.5L13 4.5" })]],
  bad: ["bad", () => [svg("path", { d: "M4 4l8 8M12 4l-8 8" })]],
  canceled: ["off", () => [circle(), svg("path", { d: "M4.2 11.8l7.6-7.6" })]],
  paused: ["warn", () => [svg("path", { d: "M5.5 3.5v9M10.5 3.5v9" })]],
  back: ["warn", () => [svg("path", { d: "M6 3L3 6l3 3M3 6h6a4 4 0 0 1 0 8H7" })]],
  warn: ["warn", () => [svg("path", { d: "M8 2.5l6 11H2zM8 7v3M8 12v.1" })]],
  live: ["ok", () => [svg("circle", { class: "solid", cx: 8, cy: 8, r: 6 })]],
};
const OF_ITEM = {
  Waiting: "waiting", Granted: "waiting", Running: "running", Made: "running", RollingBack: "back",
  Stranded: "warn", Succeeded: "ok", Failed: "bad", Canceled: "canceled",
};
const OF_OUTCOME = { Succeeded: "ok", PartiallySucceeded: "warn", Failed: "bad", Canceled: "canceled" };
const OF_JOB = { Accepted: "waiting", Running: "running", Finishing: "running" };

function circle() {
  return svg("circle", { cx: 8, cy: 8, r: 5.5 });
}

export function shape(name) {
  const [tone, draw] = SHAPES[name] ?? SHAPES.waiting;
  return svg("svg", { class: `mark ${tone}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, draw());
}

function mark(name, text) {
  return h("span.state", {}, shape(name), text);
}

/** Something that shows a state and is only drawn anew when it changed. */
function showing(draw) {
  const node = h("span", {});
  let shown = "";
  node.paint = (value) => {
    const [name, text] = draw(value);
    if (shown === name + text) return;
    shown = name + text;
    node.replaceChildren(mark(name, text));
  };
  return node;
}

export function jobState() {
  return showing((job) => {
    if (job.state === "Finished") return [OF_OUTCOME[job.outcome], word("outcome", job.outcome)];
    if (isCanceling(job)) return ["back", t("state.canceling")];
    if (isPaused(job)) return ["paused", t("state.paused")];
    return [OF_JOB[job.state], word("jobState", job.state)];
  });
}

export function itemState() {
  return showing((item) => [OF_ITEM[item.state], word("itemState", item.state)]);
}

export function isPaused(job) {
  return job.state !== "Finished" && job.pausedAt !== null;
}

/** Its state stays Running until the last name has ended. */
export function isCanceling(job) {
  return job.state !== "Finished" && Boolean(job.cancelRequestedAt);
}

/** Of a host or storage. */
export function placeState(place) {
  if (place.state !== "Enabled") return mark("canceled", word("place", place.state));
  const name = { Connected: "ok", Connecting: "waiting", Disconnected: "bad" }[place.status];
  return mark(name, word("place", place.status));
}

export function textMark(name, text) {
  return mark(name, text);
}
