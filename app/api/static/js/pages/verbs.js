// What can be done with a job, and which of it now.

import { call, newIdempotencyKey } from "../api.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { t } from "../i18n.js";
import { ask } from "../parts/dialog.js";
import { isCanceling, isPaused } from "../parts/mark.js";

/** Buttons, hidden until `paint(job)` shows those that apply. `done(job)` hears of the job a verb answers with. */
export function verbs({ failure, done }) {
  const buttons = { pause: button("pause", pause), resume: button("resume", resume), cancel: button("cancel", cancel), retry: button("retry", retry), remove: button("remove", remove) };
  buttons.remove.classList.add("danger");
  buttons.retry.classList.add("main");
  const node = h("div.buttons", {}, Object.values(buttons));
  let job = null;
  let busy = false;

  function button(name, act) {
    return h("button.button", { type: "button", hidden: true, onclick: () => once(act) }, t(`verb.${name}`));
  }

  async function once(act) {
    if (busy) return;
    busy = true;
    await failure.guard(act);
    busy = false;
  }

  // Sent again because no answer came, it is the same retry; after an answer it is another.
  let retryKey = newIdempotencyKey();
  const post = (verb, headers = {}) => call(`/api/v1/clone-jobs/${job.uuid}/${verb}`, { method: "POST", headers });

  async function pause() {
    done(await post("pause"));
  }

  async function resume() {
    done(await post("resume"));
  }

  async function cancel() {
    const left = job.total - job.succeeded - job.failed - job.canceled;
    const sure = await ask({
      title: t("cancel.title"), danger: true, confirm: t("verb.cancel"),
      text: t("cancel.text", { n: left, left: count(left), done: count(job.succeeded) }),
    });
    if (sure) done(await post("cancel"));
  }

  async function retry() {
    const made = await post("retry", { "Idempotency-Key": retryKey });
    retryKey = newIdempotencyKey();
    open(made);
  }

  async function remove() {
    const sure = await ask({
      title: t("remove.title"), danger: true, confirm: t("verb.remove"),
      text: t("remove.text", { n: job.succeeded, made: count(job.succeeded) }),
      fields: h("label.check", {}, h("input", { type: "checkbox", name: "expunge" }), h("span", {}, t("remove.expunge")), h("span.hint", {}, t("remove.expunge.hint"))),
    });
    if (!sure) return;
    const expunge = sure.expunge ? "?expunge=true" : "";
    open(await call(`/api/v1/clone-jobs/${job.uuid}/vms${expunge}`, { method: "DELETE" }));
  }

  node.paint = (now) => {
    job = now;
    const runs = (job.state === "Accepted" || job.state === "Running") && !isCanceling(job);
    const isClone = job.kind === "clone";
    buttons.pause.hidden = !runs || isPaused(job);
    buttons.resume.hidden = !runs || !isPaused(job);
    buttons.cancel.hidden = !runs;
    buttons.retry.hidden = !(job.state === "Finished" && isClone && job.outcome !== "Succeeded" && !job.retriedAs);
    buttons.remove.hidden = !(job.state === "Finished" && isClone && job.succeeded > 0);
  };
  return node;
}

function open(job) {
  location.hash = `#/jobs/${job.uuid}`;
}
