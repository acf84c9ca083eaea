// Which page is shown, and who is signed in.

import { onSessionElsewhere, onSessionLost, whoAmI } from "./api.js";
import { title } from "./format.js";
import { preferredLanguage, speak } from "./i18n.js";
import { fault } from "./parts/fault.js";
import { capacityPage } from "./pages/capacity.js";
import { clonePage } from "./pages/clone.js";
import { jobPage } from "./pages/job.js";
import { jobsPage } from "./pages/jobs.js";
import { signInPage } from "./pages/signin.js";
import { makeShell } from "./shell.js";

// A page is {title, node, stop?}; `stop` ends its streams and timers.
const PAGES = [
  [/^$|^jobs$/, "jobs", jobsPage],
  [/^jobs\/([^/]+)$/, "jobs", jobPage],
  [/^clone$/, "clone", clonePage],
  [/^capacity$/, "capacity", capacityPage],
];

let session = null;
let shell = null;
let page = null;
let looks = 0; // at whose session it is: the last one counts

async function start() {
  try {
    await speak(preferredLanguage()).catch(() => speak("en"));
  } catch {
    // No words have come to say it with.
    document.body.textContent = "vmclone cannot be reached. Check that it is up, then load this page again.";
    return;
  }
  onSessionLost(() => session && lookAgain());
  onSessionElsewhere(lookAgain);
  try {
    session = await whoAmI();
  } catch (error) {
    document.body.replaceChildren(fault(error));
    return;
  }
  addEventListener("hashchange", show);
  show();
}

/** The session may be another's now. */
async function lookAgain() {
  looks += 1;
  const mine = looks;
  const now = await whoAmI().catch(() => session); // who it is cannot be known just now
  if (mine !== looks) return;
  session = now;
  shell = null;
  show();
}

function show() {
  page?.stop?.();
  if (!session) {
    page = signInPage((signedIn) => {
      session = signedIn;
      show();
    });
    build(null);
    return;
  }
  const [path] = location.hash.replace(/^#\/?/, "").split("?");
  const [, section, make, match] = route(path);
  build(section);
  page = make({ session, live: shell.live, argument: match?.[1] && decoded(match[1]) });
  shell.show(page.node);
  document.title = title(page.title);
}

/** An address may have been typed: what is no encoding stands for itself. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route(path) {
  for (const [pattern, section, make] of PAGES) {
    const match = path.match(pattern);
    if (match) return [pattern, section, make, match];
  }
  return [null, "jobs", jobsPage, null];
}

/** The frame is made anew when somebody signs in or out, or the language changes. */
function build(section) {
  if (!session) {
    shell = null;
    const frame = makeShell({ session: null, section, again: relabel });
    document.body.replaceChildren(...frame.nodes);
    frame.show(page.node);
    document.title = title(page.title);
    return;
  }
  if (!shell) {
    shell = makeShell({ session, section, again: relabel, signedOut: () => { session = null; show(); } });
    document.body.replaceChildren(...shell.nodes);
  }
  shell.mark(section);
}

function relabel() {
  shell = null;
  show();
}

start();
