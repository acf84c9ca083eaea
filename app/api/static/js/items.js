// The names of one job as they are needed: pages of them, patched by events, forgotten when many.

import { call } from "./api.js";

const PAGE = 100;
const KEPT_PAGES = 30;
const AGAIN_MS = 2000; // after a fault

/** What `work` gives, or null after a fault and a rest. Of faults in a row the first one is told,
 * so that it can be dismissed. */
async function tried(source, work) {
  try {
    const found = await work();
    source.troubled = false;
    return found;
  } catch (error) {
    if (!source.troubled) source.failed(error);
    source.troubled = true;
    await new Promise((go) => setTimeout(go, AGAIN_MS));
    return null;
  }
}

/** All names: the row is the ordinal. `changed` is called whenever something came. */
export class AllItems {
  constructor(jobUuid, total, changed, failed) {
    Object.assign(this, { jobUuid, total, changed, failed });
    this.pages = new Map();
    this.stale = new Set();
    this.loading = new Map(); // by page, the patches that came meanwhile
  }

  get count() {
    return this.total;
  }

  /** A job that was refused, or is not judged yet, has no names, whatever it was asked for. */
  get isBare() {
    return this.pages.get(0)?.length === 0;
  }

  at(row) {
    return this.pages.get(Math.floor(row / PAGE))?.[row % PAGE];
  }

  need(first, last) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) {
      if (this.pages.has(page)) this.keep(page, this.pages.get(page));
      if (!this.pages.has(page) || this.stale.has(page)) this.load(page);
    }
  }

  async load(page) {
    if (this.loading.has(page)) return;
    this.loading.set(page, []);
    this.stale.delete(page);
    const query = new URLSearchParams({ after: page * PAGE - 1, limit: PAGE });
    const found = await tried(this, () => call(`/api/v1/clone-jobs/${this.jobUuid}/items?${query}`));
    // An empty page is kept, too, or it would be asked for with each frame.
    if (found) this.keep(page, found.items);
    else this.stale.add(page);
    const missed = this.loading.get(page);
    this.loading.delete(page);
    this.patch(missed);
  }

  keep(page, items) {
    this.pages.delete(page);
    this.pages.set(page, items);
    if (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
  }

  patch(items) {
    for (const item of items) {
      const number = Math.floor(item.ordinal / PAGE);
      const page = this.pages.get(number);
      if (page) page[item.ordinal % PAGE] = item;
      // What is on its way may have been read before this was so.
      this.loading.get(number)?.push(item);
    }
    this.changed();
  }

  /** After a gap: what is kept may be old, and is shown until it is read again. */
  refresh() {
    this.stale = new Set([...this.pages.keys(), ...this.loading.keys()]);
    this.changed();
  }
}

/** The names in one state, in request order, as far as they have been scrolled to. */
export class ItemsInState {
  constructor(jobUuid, state, changed, failed) {
    Object.assign(this, { jobUuid, state, changed, failed });
    this.refresh();
  }

  get count() {
    return this.items.length;
  }

  at(row) {
    return this.items[row];
  }

  need(_, last) {
    if (last >= this.items.length - 20) this.load();
  }

  async load() {
    if (this.missed || this.complete) return;
    this.missed = [];
    const run = this.run;
    const query = new URLSearchParams({ after: this.reached, limit: PAGE, state: this.state });
    const found = await tried(this, () => call(`/api/v1/clone-jobs/${this.jobUuid}/items?${query}`));
    if (run !== this.run) return;
    if (found) {
      this.complete = found.next === null;
      this.reached = found.items.at(-1)?.ordinal ?? this.reached;
      for (const item of found.items) this.put(item);
    }
    const missed = this.missed;
    this.missed = null;
    this.patch(missed);
  }

  patch(items) {
    for (const item of items) {
      if (item.state !== this.state) this.drop(item);
      else if (this.complete || item.ordinal <= this.reached) this.put(item);
    }
    // What is on its way may have been read before this was so.
    this.missed?.push(...items);
    this.changed();
  }

  put(item) {
    const place = this.place(item.ordinal);
    const same = this.items[place]?.ordinal === item.ordinal;
    this.items.splice(place, same ? 1 : 0, item);
  }

  drop(item) {
    const place = this.place(item.ordinal);
    if (this.items[place]?.ordinal === item.ordinal) this.items.splice(place, 1);
  }

  place(ordinal) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].ordinal < ordinal) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  refresh() {
    Object.assign(this, { items: [], reached: -1, complete: false, missed: null, run: {} });
    this.changed();
    this.load();
  }
}
