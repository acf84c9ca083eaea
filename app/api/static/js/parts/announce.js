// What is said aloud to who cannot see: seldom, and only what matters.

import { h } from "../dom.js";

const QUIET_MS = 8000;
export const region = h("div.sr", { "aria-live": "polite", role: "status" });
let saidAt = 0;
let timer = 0;

/** The last of several texts wins; none follows another within some seconds. */
export function say(text) {
  clearTimeout(timer);
  const wait = Math.max(0, saidAt + QUIET_MS - performance.now());
  timer = setTimeout(() => {
    saidAt = performance.now();
    region.textContent = text;
  }, wait);
}
