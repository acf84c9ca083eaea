// What a clone job would do, as the server's dry run tells it.

import { h } from "../dom.js";
import { UNKNOWN, bytes, count } from "../format.js";
import { t, word } from "../i18n.js";
import { fault } from "../parts/fault.js";

const SHOWN = 20;

/** The names that would fail first, then the others as asked for. */
export function planView(plan) {
  const failed = plan.items.filter((item) => item.error);
  const rows = [...failed, ...plan.items.filter((item) => !item.error)].slice(0, SHOWN);
  const left = plan.items.length - rows.length;
  return [
    h("h2", {}, t("plan.title")),
    plan.error ? fault(plan.error) : null,
    h("p", {}, summary(plan, failed.length)),
    ...(plan.ignored ?? []).map((one) => h("p.quiet", {}, t("job.ignored", { names: String(one) }))),
    ...(plan.notes ?? []).map((note) => h("p.quiet", { lang: "en" }, String(note))),
    rows.length ? h("div.scroll-x", { tabindex: 0, role: "region", "aria-label": t("plan.title") }, table(rows)) : null,
    left > 0 ? h("p.quiet", {}, t("plan.left", { n: left, left: count(left) })) : null,
    h("p.quiet.small", {}, t("plan.likely")),
  ].filter(Boolean);
}

function summary(plan, failed) {
  return [
    t("plan.total", { n: plan.total, total: count(plan.total) }),
    plan.bytesTotal ? t("plan.bytes", { bytes: bytes(plan.bytesTotal) }) : null,
    failed ? t("plan.failed", { n: failed, failed: count(failed) }) : null,
    plan.consistency ? word("consistency", plan.consistency) : null,
  ].filter(Boolean).join(" · ");
}

function table(rows) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ["name", "host", "ips", "method"].map((name) => h("th", { scope: "col" }, t(`plan.${name}`))))),
    h(
      "tbody",
      {},
      rows.map((item) =>
        h(
          "tr",
          {},
          h("td", {}, item.name),
          ...(item.error
            ? [h("td", { colspan: 3 }, fault(item.error))]
            : [
                h("td", {}, item.hostName ?? UNKNOWN),
                h("td", {}, (item.ips ?? []).join(", ") || UNKNOWN),
                h("td", {}, item.method ? word("method", item.method) : UNKNOWN),
              ]),
        ),
      ),
    ),
  );
}
