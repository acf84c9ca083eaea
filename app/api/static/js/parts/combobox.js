// A text field that finds things as one types: the combobox with a list of the ARIA patterns.

import { h, newId, setAttribute } from "../dom.js";
import { t } from "../i18n.js";

const TYPING_MS = 150;

/** `find(text)` resolves to options, to nothing where there was trouble. `text(option)` and
 * `note(option)` show one, `chosen(option)` hears of a choice and, with null, that the text was
 * changed after it. */
export function combobox({ id, describedby, find, text, note, chosen }) {
  const list = h("ul", { id: newId("options"), role: "listbox", "aria-label": t("combo.options"), hidden: true });
  const input = h("input.input", {
    id, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
    "aria-describedby": describedby,
  });
  let options = [];
  let active = -1;
  let timer = 0;
  let asked = 0;

  async function search() {
    asked += 1;
    const run = asked;
    const found = await find(picked ? "" : input.value.trim());
    if (!found || run !== asked || document.activeElement !== input) return;
    options = found;
    active = options.length && input.value ? 0 : -1;
    draw();
    open(true);
  }

  let picked = false;

  function draw() {
    const nodes = options.map((option, n) =>
      h(
        "li",
        {
          id: `${list.id}-${n}`, role: "option", "aria-selected": n === active,
          onpointerdown: (event) => event.preventDefault(),
          onclick: () => choose(n),
        },
        h("span.cut", {}, text(option)),
        h("span.quiet.small", {}, note(option)),
      ),
    );
    list.replaceChildren(...(nodes.length ? nodes : [h("li.none", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, t("combo.none"))]));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    setAttribute(input, "aria-activedescendant", active < 0 ? null : `${list.id}-${active}`);
  }

  function open(yes) {
    list.hidden = !yes;
    setAttribute(input, "aria-expanded", yes);
    if (!yes) input.removeAttribute("aria-activedescendant");
  }

  function choose(n) {
    picked = true;
    input.value = text(options[n]);
    open(false);
    chosen(options[n]);
    // A choice changes a form as typing does; the field itself would take it for typing.
    node.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function move(by) {
    if (list.hidden) {
      search();
      return;
    }
    if (!options.length) return;
    active = (active + by + options.length) % options.length;
    draw();
  }

  input.addEventListener("input", () => {
    picked = false;
    chosen(null);
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MS);
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => list.hidden && search());
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && !list.hidden && options[active]) {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Enter" && !picked && input.value) {
      // Nothing is chosen yet, so there is nothing to submit.
      event.preventDefault();
      if (list.hidden) search();
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      open(false);
    }
  });
  const node = h("div.combo", {}, input, list);
  /** As if `option` had been chosen; with none, as if `typed` had been typed. */
  node.fill = (option, typed) => {
    picked = option !== null;
    input.value = option ? text(option) : typed;
    chosen(option);
  };
  return node;
}
