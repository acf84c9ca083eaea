// One job: how far it is, what it waits for, and its names.

import { call } from "../api.js";
import { everyFrame, h, setAttribute, setText } from "../dom.js";
import { bytes, count, exactMoment, list, moment, percent, rate, shortUuid, timeOf } from "../format.js";
import { t, word } from "../i18n.js";
import { AllItems, ItemsInState } from "../items.js";
import { follow, insist } from "../live.js";
import { say } from "../parts/announce.js";
import { jobBar } from "../parts/bar.js";
import { fault, faultPlace } from "../parts/fault.js";
import { jobState, shape } from "../parts/mark.js";
import { learn, nameOf } from "../vms.js";
import { itemRows, openItem } from "./item.js";
import { verbs } from "./verbs.js";

// Each state by itself, as the API asks for them.
const FILTERS = ["", "Waiting", "Granted", "Running", "Made", "RollingBack", "Stranded", "Failed", "Succeeded", "Canceled"];
const SAID_EACH = 0.25;

export function jobPage({ live, argument: uuid }) {
  const id = encodeURIComponent(uuid); // it may have been typed
  const path = `/api/v1/clone-jobs/${id}`;
  const failure = faultPlace();
  const head = header(failure, (answered) => take(answered));
  const progress = progressPart();
  const names = namesPart(id, failure);
  const node = h("div.stack.wide", {}, head, failure);
  let job = null;
  let said = 0;
  let stopped = false;
  let close = () => {};

  const repaint = everyFrame(() => {
    if (stopped || !job) return;
    head.paint(job);
    progress.paint(job);
    names.paint(job);
  });

  function take(newer) {
    const first = job === null;
    job = newer;
    if (first) {
      node.append(progress, names);
      learn([job.vmInstanceUuid]).then(repaint, failure.show);
    }
    announce();
    repaint();
  }

  function announce() {
    const ended = (job.succeeded + job.failed + job.canceled) / (job.total || 1);
    if (job.state === "Finished" && said < 2) {
      if (said > 0) say(`${word("outcome", job.outcome)}: ${t("job.ended", numbers(job))}`);
      said = 2;
    } else if (said <= ended - SAID_EACH || said === 0) {
      if (said > 0) say(t("job.said", { percent: percent(ended) }));
      said = Math.max(0.001, ended);
    }
  }

  async function begin() {
    const found = await insist(() => call(path), { failed: failure.show, isOver: () => stopped });
    if (!found || stopped) return;
    failure.clear();
    take(found);
    close = follow(`${path}/events`, {
      on: {
        job: take,
        items: ({ items }) => names.patch(items),
      },
      onStatus: live.paint,
      onOpen: () => names.refresh(),
    });
  }

  begin();
  return {
    title: `${t("job.title")} ${shortUuid(uuid)}`,
    node,
    stop() {
      stopped = true;
      close();
      names.stop();
      live.paint("");
    },
  };
}

function numbers(job) {
  return { done: count(job.succeeded), failed: count(job.failed), total: count(job.total) };
}

function header(failure, done) {
  const name = h("span");
  const state = jobState();
  const about = h("p.quiet");
  const buttons = verbs({ failure, done });
  const node = h(
    "div.title",
    {},
    h("div", {}, h("a.crumb.small", { href: "#/jobs" }, `← ${t("jobs.title")}`), h("h1", {}, name, state), about),
    buttons,
  );
  node.paint = (job) => {
    const source = nameOf(job.vmInstanceUuid);
    setText(name, job.kind === "clone" && source ? t("job.of", { source }) : word("kind", job.kind));
    state.paint(job);
    buttons.paint(job);
    const parts = [
      shortUuid(job.uuid),
      job.account,
      moment(job.createdAt),
      job.priority === 5 ? null : t("job.priority", { n: job.priority }),
      job.policy.onFailure === "allOrNothing" ? t("job.allOrNothing") : null,
    ];
    setText(about, parts.filter(Boolean).join(" · "));
    setAttribute(about, "title", `${job.uuid} · ${exactMoment(job.createdAt)}`);
  };
  return node;
}

function progressPart() {
  const bar = jobBar();
  const left = h("span");
  const right = h("span.quiet");
  const figures = ["succeeded", "failed", "running", "waiting", "canceled"].map((name) => figure(name));
  const notes = h("div.notes");
  const node = h(
    "section",
    { "aria-label": t("jobs.progress") },
    h("div.progress-line", {}, bar, h("div.words", {}, left, right)),
  );
  const counts = h("dl.figures", {}, figures);
  const wrapper = h("div.stack", {}, node, counts, notes);
  let noted = "";
  wrapper.paint = (job) => {
    bar.paint(job);
    const ended = job.succeeded + job.failed + job.canceled;
    setText(left, t("job.progress", { percent: percent(ended / (job.total || 1)), done: count(ended), total: count(job.total) }));
    setText(right, pace(job));
    for (const one of figures) one.paint(job);
    const told = JSON.stringify([job.waitReasons, job.error, job.ignored, job.notes, job.sourceSnapshot, job.retryOf, job.retriedAs]);
    if (told !== noted) notes.replaceChildren(...notesOf(job));
    noted = told;
  };
  return wrapper;
}

function figure(name) {
  const shapes = { succeeded: "ok", failed: "bad", running: "running", waiting: "waiting", canceled: "canceled" };
  const value = h("dd");
  const node = h("div", {}, value, h("dt", {}, shape(shapes[name]), t(`job.${name}`)));
  node.paint = (job) => setText(value, count(job[name]));
  return node;
}

/** "1.2 GiB of 4 GiB · 310 MiB/s · 12 s left, by names" */
function pace(job) {
  const time = timeOf(job);
  const basis = job.etaBasis && !job.finishedAt ? t(`job.basis.${job.etaBasis}`) : null;
  return [
    job.bytesTotal ? t("job.bytes", { done: bytes(job.bytesDone), total: bytes(job.bytesTotal) }) : null,
    job.rateBytesPerSecond && !job.finishedAt ? rate(job.rateBytesPerSecond) : null,
    time ? t(time.key, { time: time.text }) + (basis ? ` ${basis}` : "") : null,
  ].filter(Boolean).join(" · ");
}

function notesOf(job) {
  const reasons = Object.entries(job.waitReasons ?? {}).map(([reason, n]) => t("job.waits", { n, number: count(n), reason: word("wait", reason) }));
  return [
    job.error ? fault(job.error) : null,
    job.sourceSnapshot ? h("p.quiet", {}, t("job.snapshot", { since: moment(job.sourceSnapshot.since) })) : null,
    ...reasons.map((text) => h("p.quiet", {}, text)),
    job.ignored?.length ? h("p.quiet", {}, t("job.ignored", { names: list(job.ignored.map(String)) })) : null,
    ...(job.notes ?? []).map((note) => h("p.quiet", { lang: "en" }, String(note))),
    job.retryOf ? otherJob(t("job.retryOf"), job.retryOf) : null,
    job.retriedAs ? otherJob(t("job.retriedAs"), job.retriedAs) : null,
  ].filter(Boolean);
}

function otherJob(text, uuid) {
  return h("p.quiet", {}, text, " ", h("a", { href: `#/jobs/${uuid}` }, shortUuid(uuid)));
}

function namesPart(uuid, failure) {
  const rows = itemRows((row) => openItem(uuid, source.at(row), opened, failure));
  const opened = { panel: null };
  const states = h(
    "select.input",
    { id: "item-state", onchange: () => show(states.value) },
    FILTERS.map((state) => h("option", { value: state }, state ? word("itemState", state) : t("job.names.all"))),
  );
  const none = h("p.quiet", { hidden: true }, t("job.names.none"));
  const node = h(
    "section.names",
    { "aria-labelledby": "names-title" },
    h("div.over", {}, h("h2", { id: "names-title" }, t("job.names")), h("div.field", {}, h("label.sr", { for: "item-state" }, t("jobs.state")), states)),
    rows,
    none,
  );
  let source = null;
  let total = 0;
  let jobNow = null;

  function changed() {
    rows.repaint();
    const never = jobNow?.state === "Finished" && source?.isBare === true;
    const empty = never || (source?.complete === true && source.count === 0);
    setText(none, t(never ? "job.names.never" : "job.names.none"));
    none.hidden = !empty;
    rows.hidden = empty || (source?.count === 0 && !states.value);
  }

  function show(state) {
    source = state ? new ItemsInState(uuid, state, changed, failure.show) : new AllItems(uuid, total, changed, failure.show);
    rows.hidden = false;
    rows.show(source);
  }

  node.paint = (job) => {
    // Its names are there, or will never be, once it is judged: what was read before is old.
    const judged = jobNow?.state === "Accepted" && job.state !== "Accepted";
    jobNow = job;
    if (!source || (total !== job.total && !states.value)) {
      total = job.total;
      show(states.value);
    }
    total = job.total;
    if (judged) source.refresh();
    changed();
  };
  node.patch = (items) => {
    source?.patch(items);
    opened.panel?.patch(items);
  };
  node.refresh = () => source?.refresh();
  node.stop = () => {
    rows.stop();
    opened.panel?.close();
  };
  return node;
}
