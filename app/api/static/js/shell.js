// The frame around every page: where one is, whether what is shown is live, language, scheme.

import { signOut } from "./api.js";
import { h, setAttribute, svg } from "./dom.js";
import { LANGUAGES, choose, language, t } from "./i18n.js";
import { region } from "./parts/announce.js";
import { faultPlace } from "./parts/fault.js";
import { shape } from "./parts/mark.js";

const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "vmclone.theme";

export function makeShell({ session, again, signedOut }) {
  const main = h("main", { id: "main", tabindex: -1 });
  const failure = faultPlace();
  const links = ["jobs", "clone", "capacity"].map((name) => [name, h("a", { href: `#/${name}` }, t(`nav.${name}`))]);
  const live = liveSign();
  const top = h(
    "header.top",
    {},
    h(
      "div",
      {},
      h("a.brand", { href: "#/jobs" }, wordmark(), "vmclone"),
      session ? h("nav.nav", { "aria-label": t("nav.label") }, links.map(([, link]) => link)) : null,
      session ? live : null,
      h(
        "div.tools",
        {},
        themeButton(),
        languageButton((other) => failure.guard(async () => { await choose(other); again(); })),
        session ? h("span.who.cut", { title: session.account }, session.account) : null,
        session ? h("button.button.plain", { type: "button", onclick: leave }, t("nav.signOut")) : null,
      ),
    ),
  );
  const foot = h(
    "footer.foot",
    {},
    h("a", { href: "/docs" }, t("foot.docs")),
    h("span", {}, t("foot.cli"), " ", h("code", {}, "vmclone jobs")),
  );
  const skip = h("a.skip", { href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("nav.skip"));

  /** Who is not signed out for sure is not told so. */
  async function leave() {
    await failure.guard(async () => {
      await signOut();
      signedOut();
    });
  }

  return {
    nodes: [skip, top, main, foot, region],
    live,
    show(node) {
      failure.clear();
      main.replaceChildren(failure, node);
      main.className = "";
      scrollTo(0, 0);
    },
    mark(section) {
      for (const [name, link] of links) setAttribute(link, "aria-current", name === section ? "page" : null);
    },
  };
}

/** `paint("live" | "lost" | "ended" | "")`; empty where nothing streams. */
function liveSign() {
  const node = h("span.live", { role: "status" });
  node.paint = (status) => {
    node.className = `live ${status}`;
    const shapes = { live: "live", lost: "warn" };
    node.replaceChildren(
      ...(shapes[status] ? [h("span.state", {}, shape(shapes[status]), t(`live.${status}`))] : []),
    );
  };
  return node;
}

function languageButton(chosen) {
  const other = language === "en" ? "zh" : "en";
  return h(
    "button.button.plain",
    { type: "button", lang: other === "zh" ? "zh-CN" : "en", onclick: () => chosen(other) },
    LANGUAGES[other],
  );
}

function themeButton() {
  const button = h("button.button.plain", { type: "button" });
  const now = () => document.documentElement.dataset.theme ?? "auto";
  const paint = () => {
    const text = `${t("theme.label")}: ${t(`theme.${now()}`)}`;
    setAttribute(button, "aria-label", text);
    setAttribute(button, "title", text);
    button.replaceChildren(themeIcon(now()));
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(now()) + 1) % THEMES.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(THEME_KEY, next);
    } catch {
      // It holds for this page, then.
    }
    paint();
  });
  paint();
  return button;
}

function themeIcon(theme) {
  const drawn = {
    auto: [svg("circle", { cx: 8, cy: 8, r: 5.5 }), svg("path", { class: "solid", d: "M8 2.5a5.5 5.5 0 0 1 0 11z" })],
    light: [svg("circle", { cx: 8, cy: 8, r: 3 }), svg("path", { d: "M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" })],
    dark: [svg("path", { d: "M13.2 9.8A5.6 5.6 0 0 1 6.2 2.8a5.6 5.6 0 1 0 7 7z" })],
  }[theme];
  return svg("svg", { class: "mark theme", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, drawn);
}

function wordmark() {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("rect", { x: 1, y: 1, width: 9, height: 9, rx: 1.5, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    svg("rect", { x: 6, y: 6, width: 9, height: 9, rx: 1.5, fill: "currentColor" }),
  );
}
