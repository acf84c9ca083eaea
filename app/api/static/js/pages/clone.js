// The form that clones: a source, names, options, a look at what would happen, and off.

import { call, newIdempotencyKey } from "../api.js";
import { h, setAttribute } from "../dom.js";
import { bytes, count } from "../format.js";
import { t, word } from "../i18n.js";
import { read, shown } from "../names.js";
import { combobox } from "../parts/combobox.js";
import { faultPlace } from "../parts/fault.js";
import { find } from "../vms.js";
import { planView } from "./plan.js";

const STRATEGIES = ["InstantStart", "CreateStopped", "JustCreate"];
const MODES = ["auto", "reflink", "linked", "full"];

// What was typed, {account, key, values}: the page is made anew for another language, and after a
// session has ended. It is nobody else's.
let draft = null;

export function clonePage({ session }) {
  const failure = faultPlace();
  const plan = h("section.plan", { hidden: true, tabindex: -1, "aria-live": "off" });
  const source = sourceField(failure);
  const names = namesField();
  const options = optionFields(failure);
  const preview = h("button.button", { type: "button", onclick: look }, t("clone.preview"));
  const submit = h("button.button.main", { type: "submit" }, t("clone.submit"));
  const form = h(
    "form.form",
    { onsubmit: send, novalidate: true },
    source,
    names,
    options,
    h("div.buttons", {}, submit, preview),
  );
  const fields = [source, names, options];
  const kept = draft?.account === session.accountUuid ? draft : null;
  if (kept) fields.forEach((field, n) => field.fill(kept.values[n]));
  // One key for one wish: sent twice, the same form is the same job; changed, it is another.
  let key = kept?.key ?? newIdempotencyKey();
  let accepted = false;
  form.addEventListener("input", () => {
    key = newIdempotencyKey();
    plan.hidden = true;
  });

  function body() {
    const wrong = [source, names].filter((field) => !field.check());
    if (wrong.length) {
      wrong[0].focusIn();
      return null;
    }
    return { vmInstanceUuid: source.uuid(), ...names.value(), ...options.value() };
  }

  async function look() {
    const wanted = body();
    if (!wanted) return;
    const asked = key;
    preview.disabled = true;
    const found = await failure.guard(() => call("/api/v1/clone-jobs?dryRun=true", { method: "POST", body: wanted }));
    preview.disabled = false;
    // Of a form that was changed meanwhile it would be the wrong plan.
    if (!found || asked !== key) return;
    plan.replaceChildren(...planView(found));
    plan.hidden = false;
    plan.focus();
  }

  async function send(event) {
    event.preventDefault();
    const wanted = body();
    if (!wanted) return;
    submit.disabled = true;
    const job = await failure.guard(() =>
      call("/api/v1/clone-jobs", { method: "POST", body: wanted, headers: { "Idempotency-Key": key } }),
    );
    submit.disabled = false;
    if (!job) return;
    accepted = true;
    location.hash = `#/jobs/${job.uuid}`;
  }

  return {
    title: t("clone.title"),
    node: h("div.stack", {}, h("div.title", {}, h("div", {}, h("h1", {}, t("clone.title")))), form, failure, plan),
    stop() {
      draft = accepted ? null : { account: session.accountUuid, key, values: fields.map((field) => field.typed()) };
    },
  };
}

/** A field that says what is wrong with it, if anything is. */
function checked(node, control, wrongText) {
  const wrong = h("span.wrong", { id: `${control.id}-wrong`, hidden: true });
  node.append(wrong);
  node.check = () => {
    const text = wrongText();
    wrong.textContent = text ?? "";
    wrong.hidden = !text;
    setAttribute(control, "aria-invalid", text ? "true" : null);
    return !text;
  };
  node.focusIn = () => control.focus();
  return wrong.id;
}

function sourceField(failure) {
  const id = "clone-source";
  const combo = combobox({
    id,
    describedby: `${id}-hint ${id}-wrong`,
    find: (text) => failure.guard(() => find(text)),
    text: (vm) => vm.name,
    note: (vm) => t("clone.source.note", { state: word("vmState", vm.state), cpu: count(vm.cpuNum), memory: bytes(vm.memorySize) }),
    chosen: (vm) => {
      chosen = vm;
      if (vm) node.check();
    },
  });
  let chosen = null;
  const node = h("div.field", {}, h("label", { for: id }, t("clone.source")), combo, h("span.hint", { id: `${id}-hint` }, t("clone.source.hint")));
  checked(node, combo.querySelector("input"), () => (chosen ? null : t("clone.source.missing")));
  node.uuid = () => chosen.uuid;
  node.typed = () => ({ vm: chosen, text: combo.querySelector("input").value });
  node.fill = ({ vm, text }) => combo.fill(vm, text);
  return node;
}

function namesField() {
  const id = "clone-names";
  const input = h("textarea.input.mono", { id, rows: 2, spellcheck: "false", autocapitalize: "none", placeholder: "web-{001..100}", "aria-describedby": `${id}-preview ${id}-wrong ${id}-hint`, oninput: changed });
  const preview = h("output.preview", { id: `${id}-preview`, for: id });
  const node = h("div.field", {}, h("label", { for: id }, t("clone.names")), input, preview, h("span.hint", { id: `${id}-hint` }, t("clone.names.hint")));
  let given = read("");
  checked(node, input, () => {
    if (given.fault) return t(given.fault.key, given.fault.values);
    return given.names.length ? null : t("clone.names.missing");
  });

  function changed() {
    given = read(input.value);
    const n = given.names.length;
    preview.value = n ? `${shown(given.names).join("  ")}  ·  ${t("clone.names.count", { n, number: count(n) })}` : "";
    if (given.fault || n) node.check();
  }

  node.typed = () => input.value;
  node.fill = (text) => {
    input.value = text;
    changed();
  };
  node.value = () => (given.pattern ? { namePattern: given.pattern } : { names: given.names });
  return node;
}

function optionFields(failure) {
  const strategy = radios("strategy", STRATEGIES);
  const full = h("input", { type: "checkbox", id: "clone-full" });
  const mode = select("mode", MODES.map((value) => [value, word("mode", value)]));
  const root = select("root", [["", t("clone.storage.same")]]);
  const data = select("data", [["", t("clone.storage.same")]]);
  const priority = h("input.input", { id: "clone-priority", type: "number", min: 0, max: 9, value: 5, "aria-describedby": "clone-priority-hint" });
  const policy = radios("policy", ["keep", "allOrNothing"]);
  const most = h("input.input", { id: "clone-most", type: "number", min: 0, "aria-describedby": "clone-most-hint" });
  const offered = storages([root, data], failure);
  const node = h(
    "div.stack",
    {},
    strategy,
    h("label.check", {}, full, h("span", {}, t("clone.full")), h("span.hint", {}, t("clone.full.hint"))),
    h(
      "details",
      {},
      h("summary", {}, t("clone.more")),
      h(
        "div",
        {},
        h("div.pair", {}, field("mode", mode), field("priority", priority)),
        h("div.pair", {}, field("root", root), field("data", data)),
        policy,
        h("div.pair", {}, field("most", most)),
      ),
    ),
  );
  node.value = () => {
    const onFailure = chosen(policy);
    const body = { strategy: chosen(strategy), full: full.checked, mode: mode.value, priority: Number(priority.value) };
    if (root.value) body.primaryStorageUuidForRootVolume = root.value;
    if (data.value) body.primaryStorageUuidForDataVolume = data.value;
    body.policy = { onFailure, ...(most.value === "" ? {} : { maxFailures: Number(most.value) }) };
    return body;
  };
  const controls = [...node.querySelectorAll("input, select")];
  node.typed = () => controls.map((one) => one[valueOf(one)]);
  node.fill = (values) => {
    controls.forEach((one, n) => { one[valueOf(one)] = values[n]; });
    // A storage can be chosen once it is offered.
    offered.then(() => [root, data].forEach((one) => { one.value ||= values[controls.indexOf(one)]; }));
  };
  return node;
}

function valueOf(control) {
  return ["checkbox", "radio"].includes(control.type) ? "checked" : "value";
}

function field(name, control) {
  const hint = t(`clone.${name}.hint`);
  const has = hint !== `clone.${name}.hint`;
  return h("div.field", {}, h("label", { for: control.id }, t(`clone.${name}`)), control, has ? h("span.hint", { id: `${control.id}-hint` }, hint) : null);
}

function select(name, options) {
  return h("select.input", { id: `clone-${name}` }, options.map(([value, text]) => h("option", { value }, text)));
}

function radios(name, values) {
  return h(
    "fieldset",
    {},
    h("legend", {}, t(`clone.${name}`)),
    values.map((value, n) =>
      h(
        "label.check",
        {},
        h("input", { type: "radio", name, value, checked: n === 0 }),
        h("span", {}, word(name, value)),
        h("span.hint", {}, word(`${name}Hint`, value)),
      ),
    ),
  );
}

function chosen(fieldset) {
  return fieldset.querySelector("input:checked").value;
}

async function storages(selects, failure) {
  const found = await failure.guard(() => call("/zstack/v1/primary-storage?fields=uuid,name&sort=%2Bname"));
  for (const storage of found?.inventories ?? []) {
    for (const one of selects) one.append(h("option", { value: storage.uuid }, storage.name));
  }
}
