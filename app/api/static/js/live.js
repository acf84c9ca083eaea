// One stream of server-sent events that outlives lost connections and restarts of the server.
//
// The browser itself goes on after a broken connection and sends Last-Event-ID. After an answer
// that is no stream (a server that starts, a proxy's 502) it gives up for good; then we begin
// again, with the last id in the address.
//
// Over HTTP/1.1 all tabs share six connections a host: a tab that nobody looks at holds none.

import { call } from "./api.js";

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 15000;

/**
 * What `work` gives; null if it can give nothing, or once `isOver()`. While the server cannot answer
 * it is tried again, as seldom as a stream. `failed(error)` hears of each fault.
 */
export async function insist(work, { failed, isOver }) {
  for (let waitMs = FIRST_RETRY_MS; !isOver(); waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
    try {
      return await work();
    } catch (error) {
      failed(error);
      if (!error.isPassing) return null;
    }
    await new Promise((go) => setTimeout(go, waitMs));
  }
  return null;
}

/**
 * Calls `on[type](data)` for every event and `onStatus("live" | "lost" | "ended")`.
 * `onOpen` is called for each new connection, because what was read before may be older than what
 * the stream begins with; not for one that goes on where it was left while the tab was hidden.
 * Returns what closes the stream.
 */
export function follow(path, { on, onStatus, onOpen = () => {} }) {
  let source = null;
  let lastId = "";
  let retryMs = FIRST_RETRY_MS;
  let timer = 0;
  let closed = false;
  let left = false; // the tab was hidden while all that had been sent was taken

  function open() {
    source = new EventSource(lastId ? `${path}?lastEventId=${encodeURIComponent(lastId)}` : path);
    source.onopen = () => {
      retryMs = FIRST_RETRY_MS;
      onStatus("live");
      if (!left) onOpen();
      left = false;
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
    document.removeEventListener("visibilitychange", look);
    leave();
    if (status) onStatus(status);
  }

  function leave() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function look() {
    if (!document.hidden) {
      if (!source) open();
      return;
    }
    left ||= lastId !== "" && source?.readyState === EventSource.OPEN;
    leave();
  }

  document.addEventListener("visibilitychange", look);
  look();
  return () => close();
}
