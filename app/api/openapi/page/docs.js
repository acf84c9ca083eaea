// The try-it page: the document in Swagger UI, signed in by the same cookie as the dashboard.

const SESSION = "/api/v1/session";
const form = document.getElementById("sign-in");
const who = document.getElementById("who");
const leave = document.getElementById("sign-out");
let token = null;

/** Requests with the cookie that may change something carry the session's token. */
function guarded(request) {
  const reads = ["GET", "HEAD"].includes((request.method || "GET").toUpperCase());
  if (token && !reads) {
    request.headers = { ...request.headers, "X-CSRF-Token": token };
  }
  return request;
}

function show(session) {
  token = session && session.csrfToken;
  who.textContent = session ? `Signed in as ${session.account}` : "";
  form.hidden = Boolean(session);
  leave.hidden = !session;
}

/** The answer's JSON, null of none; raises what the server says, or that it cannot be reached. */
async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => null);
  if (!answer) throw new Error("The server cannot be reached. Check that vmclone is up, then try again.");
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : null;
  let detail = `HTTP ${answer.status}`;
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch {
    // Of a proxy in between: the status has to do.
  }
  throw Object.assign(new Error(detail), { status: answer.status });
}

/** What goes wrong in `work` is said where the account stands. */
async function told(work) {
  try {
    await work();
  } catch (error) {
    who.textContent = error.message;
  }
}

/** The demo's source VM stands in the examples; elsewhere the first VM that is there does. */
async function forThisPlace(text) {
  const demo = JSON.parse(text)["x-example-vm"];
  const vms = async (query) => (await ask(`/zstack/v1/vm-instances?${query}`)).inventories;
  if (!token || (await vms(`q=uuid=${demo}`)).length) return text;
  const [vm] = await vms("limit=1&sort=createDate");
  return vm ? text.replaceAll(demo, vm.uuid) : text;
}

async function render() {
  const text = JSON.stringify(await ask("/openapi.json"));
  window.SwaggerUIBundle({
    spec: JSON.parse(await forThisPlace(text).catch(() => text)),
    dom_id: "#swagger",
    deepLinking: true,
    docExpansion: "list",
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: guarded,
  });
}

async function signIn() {
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
  const session = await ask(SESSION, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(given),
  });
  form.elements.password.value = "";
  show(session);
  await render();
}

/** Null where nobody is signed in. */
async function known() {
  try {
    return await ask(SESSION);
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

async function signOut() {
  const shown = token;
  show(await known());
  // In another tab somebody else may have signed in, and is not the one to be signed out.
  if (!token || token !== shown) return;
  await ask(SESSION, guarded({ method: "DELETE" }));
  show(null);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  told(signIn);
});
leave.addEventListener("click", () => told(signOut));

await told(async () => show(await known()));
await told(render);
