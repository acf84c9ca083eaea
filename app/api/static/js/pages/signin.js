import { signIn } from "../api.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { faultPlace } from "../parts/fault.js";

/** `done(session)` is called once somebody is signed in. */
export function signInPage(done) {
  const failure = faultPlace();
  const account = field("account", { autocomplete: "username", required: true, value: "admin" });
  const user = field("user", { autocomplete: "off", describedby: true });
  const password = field("password", { type: "password", autocomplete: "current-password", required: true });
  const button = h("button.button.main", { type: "submit" }, t("signin.go"));
  const form = h("form", { onsubmit: submit }, account, user, password, button);

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    const session = await failure.guard(() =>
      signIn({
        accountName: valueOf(account),
        password: valueOf(password),
        ...(valueOf(user) ? { userName: valueOf(user) } : {}),
      }).catch((error) => {
        if (error.code === "ID.1000") error.advice = null; // for programs: of hashes and access keys
        throw error;
      }),
    );
    button.disabled = false;
    if (session) done(session);
    else password.querySelector("input").select();
  }

  return { title: t("signin.title"), node: h("div.sign-in", {}, h("h1", {}, t("signin.title")), failure, form) };
}

function field(name, { type = "text", describedby = false, ...more }) {
  const hint = describedby ? h("span.hint", { id: `hint-${name}` }, t(`signin.${name}.hint`)) : null;
  return h(
    "div.field",
    {},
    h("label", { for: `field-${name}` }, t(`signin.${name}`)),
    h("input.input", { id: `field-${name}`, name, type, "aria-describedby": hint?.id, spellcheck: "false", autocapitalize: "none", ...more }),
    hint,
  );
}

function valueOf(node) {
  return node.querySelector("input").value;
}
