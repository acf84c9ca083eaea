// Calls of the API with the session's cookie and token. Failures are ApiErrors that say all the
// server said.

export class ApiError extends Error {
  constructor({ status = 0, code = null, title = "", detail = "", advice = null, cause = null }) {
    super(detail || title);
    Object.assign(this, { status, code, title, detail, advice, reason: cause });
  }

  /** The same, asked again later, may well be answered. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const SIGNED_IN = "vmclone.signedIn";

let csrfToken = "";
let lost = () => {};

/** `then` is called when the session is found to have ended, or to be another's: in another tab
 * of the browser somebody else may have signed in. */
export function onSessionLost(then) {
  lost = then;
}

/** `then` is called when somebody has signed in or out on this dashboard in another tab. */
export function onSessionElsewhere(then) {
  addEventListener("storage", ({ key }) => {
    if (key === SIGNED_IN) then();
  });
}

/** Null where nobody is signed in; who never was is not even asked for. */
export async function whoAmI() {
  const asked = hint.get();
  if (!asked) return null;
  const answer = await send("/api/v1/session", {});
  if (answer.status === 401) {
    // Of the cookie before: in another tab somebody has signed in meanwhile.
    if (hint.get() !== asked) return whoAmI();
    hint.clear();
    return null;
  }
  return remember(await bodyOf(answer));
}

export async function signIn(credentials) {
  const session = remember(await bodyOf(await send("/api/v1/session", { method: "POST", body: credentials })));
  hint.set();
  return session;
}

export async function signOut() {
  await call("/api/v1/session", { method: "DELETE" });
  hint.clear();
  csrfToken = "";
}

function remember(session) {
  csrfToken = session.csrfToken;
  return session;
}

// The cookie itself is nothing that a script can see. Each sign-in is another one, to other tabs too.
const hint = {
  get() {
    try {
      return localStorage.getItem(SIGNED_IN);
    } catch {
      return "perhaps";
    }
  },
  set() {
    try {
      localStorage.setItem(SIGNED_IN, String(Date.now()));
    } catch {
      // It is asked for each time, then.
    }
  },
  clear() {
    try {
      localStorage.removeItem(SIGNED_IN);
    } catch {
      // As above.
    }
  },
};

/** The JSON of an answer. Raises ApiError. */
export async function call(path, options = {}) {
  const asked = csrfToken;
  const answer = await send(path, options);
  // A late answer says nothing of who signed in meanwhile.
  if (asked === csrfToken && (await isLost(path, answer, asked))) lost();
  return bodyOf(answer);
}

/** ZStack's surface has words of its own for a session that has ended, and a token that is
 * refused may be an earlier session's: then the session itself is asked for. */
async function isLost(path, answer, token) {
  const isDoubtful = answer.status === 403 || (!answer.ok && path.startsWith("/zstack/"));
  if (!isDoubtful) return answer.status === 401;
  const now = await send("/api/v1/session", {});
  return now.status === 401 || (now.ok && (await now.json()).csrfToken !== token);
}

async function send(path, { method = "GET", body, headers = {} }) {
  const all = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) all["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError({ title: "network" });
  }
}

async function bodyOf(answer) {
  const text = await answer.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // Of a proxy in between, perhaps: the text says what it has to say.
  }
  if (answer.ok) return body;
  throw problem(answer.status, body, text);
}

function problem(status, body, text) {
  const error = body?.error;
  if (error) return new ApiError({ status, code: error.code, title: error.description, detail: error.details, cause: error.cause });
  return new ApiError({
    status,
    code: body?.code,
    title: body?.title ?? `HTTP ${status}`,
    detail: body?.detail ?? text.slice(0, 500),
    advice: body?.advice,
  });
}

/** The same for the same wish, so that a submission sent twice is one job. */
export function newIdempotencyKey() {
  // randomUUID would want https.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
