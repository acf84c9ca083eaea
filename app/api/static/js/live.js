// One stream of server-sent events that outlives lost connections and restarts of the server.
//
// The browser itself goes on after a broken connection and sends Last-Event-ID. After an answer
// that is no stream (a server that starts, a proxy's 502) it gives up for good; then we begin
// again, with the last id in the address.

import { call } from "./api.js";

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 15000;

/**
 * Calls `on[type](data)` for every event and `onStatus("live" | "lost" | "ended")`.
 * `onOpen` is called for each new connection: what was read before may be older than what the
 * stream begins with. Returns what closes the stream.
 */
export function follow(path, { on, onStatus, onOpen = () => {} }) {
  let source = null;
  let lastId = "";
  let retryMs = FIRST_RETRY_MS;
  let timer = 0;
  let closed = false;

  function open() {
    source = new EventSource(lastId ? `${path}?lastEventId=${encodeURIComponent(lastId)}` : path);
    source.onopen = () => {
      retryMs = FIRST_RETRY_MS;
      onStatus("live");
      onOpen();
    };
    source.onerror = () => {
      onStatus("lost");
      if (source.readyState !== EventSource.CLOSED || closed) return;
      // Perhaps the session has ended: this call leads to the sign-in then.
      call("/api/v1/session").catch(() => {});
      timer = setTimeout(open, retryMs);
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    };
    for (const type of Object.keys(on)) source.addEventListener(type, (event) => take(type, event));
    source.addEventListener("end", () => close("ended"));
  }

  function take(type, event) {
    if (event.lastEventId) lastId = event.lastEventId;
    on[type](JSON.parse(event.data));
  }

  function close(status) {
    closed = true;
    clearTimeout(timer);
    source.close();
    if (status) onStatus(status);
  }

  open();
  return () => close();
}
