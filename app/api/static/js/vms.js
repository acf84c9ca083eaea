// VMs by ZStack's own queries: their names for uuids, and those that a search finds.

import { call } from "./api.js";

const PATH = "/zstack/v1/vm-instances";
const PAGE = 100;
const known = new Map();

/** The VM's name; null while it is not known, "" where it is gone or another's. */
export function nameOf(uuid) {
  return known.get(uuid) ?? null;
}

/** Afterwards their names are known. True if there were any to ask for. */
export async function learn(uuids) {
  const asked = [...new Set(uuids)].filter((uuid) => uuid && !known.has(uuid)).slice(0, PAGE);
  if (!asked.length) return false;
  const query = new URLSearchParams({ q: `uuid?=${asked.join(",")}`, fields: "uuid,name", limit: PAGE });
  const { inventories } = await call(`${PATH}?${query}`);
  for (const uuid of asked) known.set(uuid, "");
  for (const vm of inventories) known.set(vm.uuid, vm.name);
  return true;
}

/** VMs to be cloned: one that is destroyed is none. */
export async function find(text) {
  const query = new URLSearchParams({ q: "state!=Destroyed", limit: 20, sort: "+name" });
  if (text) query.append("q", `name~=%${text}%`);
  const { inventories } = await call(`${PATH}?${query}`);
  for (const vm of inventories) known.set(vm.uuid, vm.name);
  return inventories;
}
