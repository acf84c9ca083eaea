// Bars of several parts, and meters of what is used.

import { h, setAttribute } from "../dom.js";
import { count } from "../format.js";
import { t } from "../i18n.js";

/** A job's names: those that ended and those under way. `paint(job)` moves it. */
export function jobBar() {
  const parts = ["ok", "bad", "off", "running"].map((name) => h(`i.${name}`));
  const node = h("div.bar", { role: "progressbar", "aria-valuemin": 0 }, parts);
  node.paint = (job) => {
    const ended = job.succeeded + job.failed + job.canceled;
    const numbers = [job.succeeded, job.failed, job.canceled, job.running];
    parts.forEach((part, n) => width(part, numbers[n] / (job.total || 1)));
    setAttribute(node, "aria-valuemax", job.total);
    setAttribute(node, "aria-valuenow", ended);
    setAttribute(node, "aria-label", t("job.bar", { done: count(ended), total: count(job.total), n: job.total }));
  };
  return node;
}

export function width(part, share) {
  const text = `${Math.min(100, Math.max(0, share * 100)).toFixed(2)}%`;
  if (part.style.width !== text) part.style.width = text;
}

/** How much of a total is used, and how much more is promised. */
export function meter(label, text, { used, reserved = 0, total }) {
  const parts = [h("i.used"), h("i.reserved")];
  if (total) {
    width(parts[0], used / total);
    width(parts[1], reserved / total);
  }
  return h(
    "div.meter",
    {},
    h("span.small", {}, h("span.phone", { "aria-hidden": "true" }, label), text),
    h("div.bar.thin", { role: "img", "aria-label": `${label}: ${text}` }, parts),
  );
}
