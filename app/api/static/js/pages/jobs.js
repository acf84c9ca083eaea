// Every job the caller may see, the newest first, moving as they do.

import { call } from "../api.js";
import { everyFrame, h, setAttribute, setText } from "../dom.js";
import { UNKNOWN, count, exactMoment, moment, rate, shortUuid, timeOf } from "../format.js";
import { t, word } from "../i18n.js";
import { follow } from "../live.js";
import { jobBar } from "../parts/bar.js";
import { faultPlace } from "../parts/fault.js";
import { jobState } from "../parts/mark.js";
import { learn, nameOf } from "../vms.js";

const PATH = "/api/v1/clone-jobs";
// What can be asked for: one filter of the API's each.
const STATES = {
  all: {}, open: { state: "Running" }, ok: { outcome: "Succeeded" },
  partly: { outcome: "PartiallySucceeded" }, failed: { outcome: "Failed" }, canceled: { outcome: "Canceled" },
};

export function jobsPage({ session, live }) {
  const jobs = new Map();
  const rows = new Map();
  const failure = faultPlace();
  const body = h("tbody");
  const empty = h("div", { hidden: true });
  const more = h("button.button", { type: "button", hidden: true, onclick: () => load(next) }, t("jobs.more"));
  const filters = makeFilters(session, () => load(null));
  const table = h(
    "table.jobs",
    {},
    h("caption.sr", {}, t("jobs.title")),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, t("jobs.source")),
        h("th.mid", { scope: "col" }, t("jobs.state")),
        h("th.progress", { scope: "col" }, t("jobs.progress")),
        h("th.num.wide", { scope: "col" }, t("jobs.failed")),
        h("th.num.wide", { scope: "col" }, t("jobs.rate")),
        h("th.num.mid", { scope: "col" }, t("jobs.time")),
        h("th.wide", { scope: "col" }, t("jobs.account")),
        h("th.num.mid", { scope: "col" }, t("jobs.created")),
      ),
    ),
    body,
  );
  let next = null;
  let stopped = false;
  let run = 0;
  let missed = null; // what events brought while the list was on its way, which may be older

  const repaint = everyFrame(() => {
    const shown = [...jobs.values()].filter((job) => matches(job, filters.values()));
    shown.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    for (const job of shown) rowOf(job).paint(job);
    const nodes = shown.map((job) => rows.get(job.uuid));
    nodes.forEach((node, n) => body.children[n] !== node && body.insertBefore(node, body.children[n] ?? null));
    while (body.children.length > nodes.length) body.lastChild.remove();
    table.hidden = !shown.length;
    empty.hidden = Boolean(shown.length) || run === 0;
    if (!empty.hidden) empty.replaceChildren(nothing(filters.isAll()));
    learn(shown.map((job) => job.vmInstanceUuid)).then((learnt) => learnt && !stopped && repaint(), failure.show);
  });

  function rowOf(job) {
    if (!rows.has(job.uuid)) rows.set(job.uuid, makeRow());
    return rows.get(job.uuid);
  }

  async function load(address) {
    run += 1;
    const mine = run;
    missed = [];
    const page = await failure.guard(() => call(address ?? `${PATH}?${filters.query()}`));
    if (stopped || mine !== run) return;
    const newer = missed;
    missed = null;
    if (!page) return;
    if (!address) jobs.clear();
    for (const job of [...page["clone-jobs"], ...newer]) jobs.set(job.uuid, job);
    next = page.next;
    more.hidden = !next;
    repaint();
  }

  function take(job) {
    jobs.set(job.uuid, job);
    missed?.push(job);
    repaint();
  }

  // What the list says is as new as the stream only if it is asked for after that was opened.
  load(null);
  const stop = follow("/api/v1/events", {
    on: { job: take },
    onStatus: live.paint,
    onOpen: () => load(null),
  });
  return {
    title: t("jobs.title"),
    node: h(
      "div.stack",
      {},
      h("div.title", {}, h("div", {}, h("h1", {}, t("jobs.title"))), h("a.button.main", { href: "#/clone" }, t("jobs.new"))),
      filters,
      failure,
      table,
      empty,
      h("div", {}, more),
    ),
    stop() {
      stopped = true;
      stop();
      live.paint("");
    },
  };
}

function makeFilters(session, changed) {
  const state = h("select.input", { id: "filter-state", onchange: changed }, Object.keys(STATES).map((name) => h("option", { value: name }, t(`jobs.filter.${name}`))));
  const account = h("input.input", { id: "filter-account", type: "search", autocomplete: "off", onchange: changed });
  const source = h("input.input", { id: "filter-source", type: "search", autocomplete: "off", oninput: changed });
  const node = h(
    "form.filters",
    { role: "search", "aria-label": t("jobs.filter"), onsubmit: (event) => event.preventDefault() },
    h("div.field", {}, h("label", { for: "filter-state" }, t("jobs.state")), state),
    h("div.field.grow", {}, h("label", { for: "filter-source" }, t("jobs.filter.source")), source),
    session.isAdmin ? h("div.field", {}, h("label", { for: "filter-account" }, t("jobs.filter.account")), account) : null,
  );
  node.values = () => ({ ...STATES[state.value], account: account.value.trim(), source: source.value.trim().toLowerCase() });
  node.isAll = () => state.value === "all" && !account.value.trim() && !source.value.trim();
  node.query = () => {
    const query = new URLSearchParams({ limit: 50, ...STATES[state.value] });
    if (account.value.trim()) query.set("account", account.value.trim());
    return query;
  };
  return node;
}

function matches(job, { state, outcome, account, source }) {
  const name = nameOf(job.vmInstanceUuid) ?? "";
  return (
    (!state || job.state === state)
    && (!outcome || job.outcome === outcome)
    && (!account || job.account === account)
    && (!source || name.toLowerCase().includes(source) || job.uuid.startsWith(source))
  );
}

function makeRow() {
  const source = h("a.source");
  const about = h("div.quiet.small");
  const state = jobState();
  const bar = jobBar();
  const words = h("span.small");
  const phoneState = jobState();
  const failed = h("td.num.wide");
  const speed = h("td.num.wide");
  const time = h("td.num.mid");
  const account = h("td.wide");
  const created = h("time");
  const row = h(
    "tr",
    {},
    h("td", {}, source, about),
    h("td.mid", {}, state),
    h("td.progress", {}, bar, h("div.words", {}, words, h("span.phone.small", {}, phoneState))),
    failed,
    speed,
    time,
    account,
    h("td.num.mid.quiet", {}, created),
  );
  row.paint = (job) => {
    const ended = job.succeeded + job.failed + job.canceled;
    const name = nameOf(job.vmInstanceUuid);
    const kind = word("kind", job.kind);
    const title = name || (name === "" && job.kind === "clone" ? t("jobs.source.gone") : kind);
    setText(source, title);
    setAttribute(source, "href", `#/jobs/${job.uuid}`);
    setText(about, title === kind ? shortUuid(job.uuid) : `${kind} · ${shortUuid(job.uuid)}`);
    state.paint(job);
    phoneState.paint(job);
    bar.paint(job);
    setText(words, t("jobs.ended", { done: count(ended), total: count(job.total) }));
    setText(failed, count(job.failed));
    setText(speed, job.rateBytesPerSecond && job.state !== "Finished" ? rate(job.rateBytesPerSecond) : UNKNOWN);
    const took = timeOf(job);
    setText(time, took ? t(took.key, { time: took.text }) : UNKNOWN);
    setText(account, job.account ?? UNKNOWN);
    setText(created, moment(job.createdAt));
    setAttribute(created, "datetime", job.createdAt);
    setAttribute(created, "title", exactMoment(job.createdAt));
  };
  return row;
}

function nothing(isAll) {
  if (!isAll) return h("div.empty", {}, h("p", {}, t("jobs.none.filtered")));
  return h(
    "div.empty",
    {},
    h("h2", {}, t("jobs.none")),
    h("p", {}, t("jobs.none.todo")),
    h("code", {}, "vmclone clone golden 'web-{001..100}' --wait"),
    h("a.button.main", { href: "#/clone" }, t("jobs.new")),
  );
}
