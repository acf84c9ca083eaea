// A name's steps on one line of time.

import { h } from "../dom.js";
import { duration } from "../format.js";
import { t, word } from "../i18n.js";

const UNDER_WAY = new Set(["Running", "RollingBack", "Granted"]);

/** Steps in the order in which they began; one under way has no end yet. */
export function timeline(item) {
  const steps = item.steps.filter((step) => step.startedAt).sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  if (UNDER_WAY.has(item.state) && item.step && !steps.some((step) => step.name === item.step)) {
    const since = steps.at(-1)?.finishedAt ?? item.startedAt;
    if (since) steps.push({ name: item.step, attempt: item.attempts, startedAt: since });
  }
  if (!steps.length) return h("p.quiet", {}, t("item.steps.none"));
  const begin = Math.min(...steps.map((step) => Date.parse(step.startedAt)));
  const end = Math.max(begin + 1, ...steps.map(endOf));
  return h("ol.timeline", {}, steps.map((step) => line(step, begin, end)));
}

function endOf(step) {
  return step.finishedAt ? Date.parse(step.finishedAt) : Date.now();
}

function line(step, begin, end) {
  const from = Date.parse(step.startedAt);
  const mark = h("i");
  mark.style.left = `${(((from - begin) / (end - begin)) * 100).toFixed(2)}%`;
  mark.style.width = `${(((endOf(step) - from) / (end - begin)) * 100).toFixed(2)}%`;
  const kind = step.undoneAt ? "undone" : step.finishedAt ? "done" : "open";
  const notes = [
    step.attempt > 1 ? t("item.attempt", { n: step.attempt }) : null,
    step.undoneAt ? t("item.undone") : null,
  ].filter(Boolean);
  return h(
    `li.${kind}`,
    {},
    h("span", {}, word("step", step.name), notes.length ? h("span.quiet.small", {}, ` · ${notes.join(" · ")}`) : null),
    h("span.track", { "aria-hidden": "true" }, mark),
    h("span.num.small", {}, step.finishedAt ? duration((endOf(step) - from) / 1000) : t("item.step.open")),
  );
}
