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

/** The demo's source VM stands in the examples; elsewhere the first VM that is there does. */
async function forThisPlace(text) {
  const demo = JSON.parse(text)["x-example-vm"];
  const ask = async (query) => {
    const answer = await fetch(`/zstack/v1/vm-instances?${query}`);
    return answer.ok ? (await answer.json()).inventories : [];
  };
  if (!token || (await ask(`q=uuid=${demo}`)).length) return text;
  const [vm] = await ask("limit=1&sort=createDate");
  return vm ? text.replaceAll(demo, vm.uuid) : text;
}

async function render() {
  const text = await (await fetch("/openapi.json")).text();
  window.SwaggerUIBundle({
    spec: JSON.parse(await forThisPlace(text)),
    dom_id: "#swagger",
    deepLinking: true,
    docExpansion: "list",
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: guarded,
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
  const answer = await fetch(SESSION, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(given),
  });
  const body = await answer.json();
  if (!answer.ok) {
    who.textContent = body.detail;
    return;
  }
  form.elements.password.value = "";
  show(body);
  await render();
});

leave.addEventListener("click", async () => {
  await fetch(SESSION, guarded({ method: "DELETE" }));
  show(null);
});

const known = await fetch(SESSION);
show(known.ok ? await known.json() : null);
await render();
