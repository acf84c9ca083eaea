// Dialogs on the browser's own <dialog>, which traps the focus and gives it back.

import { h, newId } from "../dom.js";
import { t } from "../i18n.js";

/** Asks before something that cannot be undone. Resolves to the form's values, or null. */
export function ask({ title, text, confirm, danger = false, fields = [] }) {
  return new Promise((resolve) => {
    const id = newId("ask");
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id }, title),
      h("p", {}, text),
      fields,
      h(
        "div.buttons",
        {},
        h("button.button", { value: "", autofocus: danger }, t("dialog.back")),
        h(danger ? "button.button.danger" : "button.button.main", { value: "yes" }, confirm),
      ),
    );
    const dialog = h("dialog.ask", { "aria-labelledby": id }, form);
    dialog.addEventListener("close", () => {
      const values = dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null;
      dialog.remove();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A panel at the side; `closed` is called when it goes, however that came. */
export function sidePanel(content, { labelledby, closed }) {
  const dialog = h("dialog.side", { "aria-labelledby": labelledby }, content);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
