// Hosts, storages and address ranges: what is used, promised and left.

import { call } from "../api.js";
import { h } from "../dom.js";
import { bytes, count, moment } from "../format.js";
import { t } from "../i18n.js";
import { meter } from "../parts/bar.js";
import { faultPlace } from "../parts/fault.js";
import { placeState } from "../parts/mark.js";

const EVERY_MS = 5000;

export function capacityPage({ session }) {
  const failure = faultPlace();
  const at = h("p.quiet.small");
  const parts = h("div.capacity");
  let timer = 0;
  let stopped = false;

  async function load() {
    if (!document.hidden) await failure.guard(read);
    if (!stopped) timer = setTimeout(load, EVERY_MS);
  }

  async function read() {
    const [hosts, storages, ranges] = await Promise.all([
      session.isAdmin ? call("/api/v1/hosts") : null,
      session.isAdmin ? call("/api/v1/primary-storages") : null,
      call("/api/v1/ip-ranges"),
    ]);
    if (stopped) return;
    parts.replaceChildren(
      ...[
        hosts && section("hosts", hosts.hosts, hostColumns),
        storages && section("storages", storages["primary-storages"], storageColumns),
        section("ranges", ranges["ip-ranges"], rangeColumns),
      ].filter(Boolean),
    );
    at.textContent = t("capacity.at", { time: moment(new Date().toISOString()) });
  }

  load();
  return {
    title: t("nav.capacity"),
    node: h("div.stack", {}, h("div.title", {}, h("div", {}, h("h1", {}, t("nav.capacity")), at)), failure, parts),
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

// Each column: the key of its heading, its class, and what stands in it.
const hostColumns = [
  ["host", "", (host) => [h("strong", {}, host.name), h("div.quiet.small", {}, `${host.cluster} · ${host.hypervisorType}`)]],
  ["state", "", placeState],
  ["cpu", "", (host) => usage("cpu", host.cpuUsed, host.cpuTotal, count)],
  ["memory", "", (host) => usage("memory", host.memoryUsedBytes, host.memoryTotalBytes, bytes)],
  ["slots", "", (host) => usage("slots", host.slotsUsed, host.slots, count)],
];
const storageColumns = [
  ["storage", "", (storage) => [h("strong", {}, storage.name), h("div.quiet.small", {}, `${storage.type} · ${storage.url}`), storage.fault ? h("div.small.fault", {}, storage.fault) : null]],
  ["state", "", placeState],
  ["used", "", (storage) => usage("used", storage.usedBytes, storage.totalBytes, bytes)],
  ["reserved", "", (storage) => usage("reserved", storage.reservedBytes, storage.totalBytes, bytes)],
  ["available", "num", (storage) => labelled("available", bytes(storage.availableBytes))],
  ["copies", "num", (storage) => labelled("copies", of(storage.fullCopies, storage.fullCopiesLimit, count))],
];
const rangeColumns = [
  ["range", "", (range) => [h("strong", {}, `${range.startIp} – ${range.endIp}`), h("div.quiet.small", {}, range.l3Network)]],
  ["addresses", "", (range) => usage("addresses", range.used, range.total, count)],
  ["free", "num", (range) => labelled("free", count(range.total === null ? null : range.total - range.used))],
];

function section(name, rows, columns) {
  const id = `capacity-${name}`;
  const title = h("h2", { id }, t(`capacity.${name}`));
  if (!rows.length) return h("section", { "aria-labelledby": id }, title, h("p.quiet", {}, t(`capacity.${name}.none`)), h("p", {}, h("code", {}, "vmclone inventory apply inventory.yaml")));
  return h(
    "section",
    { "aria-labelledby": id },
    title,
    h(
      "table",
      // Said again, since a phone shows the rows as blocks, which would be a table no more.
      { role: "table", "aria-labelledby": id },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(([key, classes]) => h(cell("th", classes), { scope: "col", role: "columnheader" }, t(`capacity.${key}`))))),
      h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, columns.map(([, classes, shown]) => h(cell("td", classes), { role: "cell" }, shown(row)))))),
    ),
  );
}

function cell(tag, classes) {
  return [tag, ...classes.split(" ").filter(Boolean)].join(".");
}

/** A figure that on a phone, where the column has no heading, says what it is. */
function labelled(key, text) {
  return h("span.labelled", {}, h("span.phone.small.quiet", { "aria-hidden": "true" }, t(`capacity.${key}`)), text);
}

function usage(key, used, total, format) {
  return meter(t(`capacity.${key}`), of(used, total, format), { used: used ?? 0, total });
}

function of(used, total, format) {
  return total === null || total === undefined ? format(used) : t("capacity.of", { used: format(used), total: format(total) });
}

