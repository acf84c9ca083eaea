// An error, whole: what happened to which thing, its code, what caused it and what to do.

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { said, t } from "../i18n.js";

/** Of an ErrorCode {code, description, details, cause, advice} or an ApiError. */
export function fault(error, { dismiss = null } = {}) {
  const shown = error instanceof ApiError ? ofApi(error) : error;
  return h(
    "div.fault",
    { role: dismiss ? "alert" : null },
    h(
      "div.head",
      {},
      h("h3", {}, descriptionOf(shown)),
      shown.code ? h("code", {}, shown.code) : null,
    ),
    shown.details ? h("p", {}, shown.details) : null,
    causes(shown.cause),
    shown.advice ? h("p", {}, h("strong", {}, `${t("fault.todo")} `), adviceOf(shown)) : null,
    dismiss ? h("div", {}, h("button.button.plain", { type: "button", onclick: dismiss }, t("fault.dismiss"))) : null,
  );
}

function causes(cause) {
  if (!cause) return null;
  return h(
    "div.cause",
    {},
    h("p", {}, `${t("fault.cause")} ${descriptionOf(cause)} `, h("code", {}, cause.code)),
    cause.details && cause.details !== cause.description ? h("p", {}, cause.details) : null,
    causes(cause.cause),
  );
}

function descriptionOf({ code, description }) {
  return said(`error.${code}`, description);
}

/** Of the innermost cause, for that is what is to be mended. */
function adviceOf({ advice, ...error }) {
  if (error.code === "SYS.1006" && !error.cause) return advice; // of a cause that is not told here
  while (error.cause) error = error.cause;
  return said(`advice.${error.code}`, advice);
}

function ofApi(error) {
  if (error.title === "network") return { description: t("fault.network"), details: t("fault.network.todo") };
  return { code: error.code, description: error.title, details: error.detail, cause: error.reason, advice: error.advice };
}

/** A place where the last failure of a page stands until it is dismissed or mended. */
export function faultPlace() {
  const node = h("div", { hidden: true });
  node.clear = () => {
    node.hidden = true;
    node.replaceChildren();
  };
  node.show = (error) => {
    if (!(error instanceof ApiError)) console.error(error);
    const shown = error instanceof ApiError ? error : new ApiError({ title: String(error) });
    node.replaceChildren(fault(shown, { dismiss: node.clear }));
    node.hidden = false;
  };
  /** Runs `work`; what it raises is shown here. */
  node.guard = async (work) => {
    node.clear();
    try {
      return await work();
    } catch (error) {
      node.show(error);
      return undefined;
    }
  };
  return node;
}
