// Numbers, bytes, times and durations as the language writes them. What is unknown is a dash.

import { language, locale, t } from "./i18n.js";

export const UNKNOWN = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const made = new Map();

function numbers(options) {
  return cached(`n${JSON.stringify(options)}`, () => new Intl.NumberFormat(locale, options));
}

function cached(key, make) {
  const full = `${locale} ${key}`;
  if (!made.has(full)) made.set(full, make());
  return made.get(full);
}

export function count(value) {
  return value === null || value === undefined ? UNKNOWN : numbers({}).format(value);
}

/** Rounded down: a hundred is said of nothing that is not whole. */
export function percent(share) {
  return numbers({ style: "percent", maximumFractionDigits: 0 }).format(Math.floor(share * 100) / 100);
}

export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  let unit = 0;
  let number = value;
  while (Math.abs(number) >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit += 1;
  }
  const digits = unit && number < 100 ? 1 : 0;
  return `${numbers({ maximumFractionDigits: digits }).format(number)} ${UNITS[unit]}`;
}

export function rate(value) {
  return value === null || value === undefined ? UNKNOWN : `${bytes(value)}/s`;
}

function unit(value, name, digits = 0) {
  const options = { style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits };
  if (language === "zh") options.unitDisplay = "short";
  return numbers(options).format(value);
}

/** Two units at most: "3h 12m", "4m 5s", "8.2s", "12ms". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return UNKNOWN;
  if (seconds < 1) return unit(Math.max(0, Math.round(seconds * 1000)), "millisecond");
  if (seconds < 10) return unit(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return `${unit(Math.floor(whole / 60), "minute")} ${unit(whole % 60, "second")}`;
  if (whole < 86400) return `${unit(Math.floor(whole / 3600), "hour")} ${unit(Math.floor((whole % 3600) / 60), "minute")}`;
  return `${unit(Math.floor(whole / 86400), "day")} ${unit(Math.floor((whole % 86400) / 3600), "hour")}`;
}

function dates(options) {
  return cached(`d${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(locale, options));
}

/** Of today the time, of other days the date too. */
export function moment(iso) {
  if (!iso) return UNKNOWN;
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return dates(
    today
      ? { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }
      : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  ).format(at);
}

export function exactMoment(iso) {
  return iso ? dates({ dateStyle: "medium", timeStyle: "long", hourCycle: "h23" }).format(new Date(iso)) : UNKNOWN;
}

export function seconds(from, to) {
  return from && to ? (new Date(to) - new Date(from)) / 1000 : null;
}

/** {key, text} of how long a job took or of what is left; null where neither is known. */
export function timeOf(job) {
  if (job.finishedAt) return { key: "job.took", text: duration(seconds(job.createdAt, job.finishedAt)) };
  if (job.etaSeconds === null || job.etaSeconds === undefined) return null;
  return { key: "job.left", text: duration(Math.max(1, Math.round(job.etaSeconds))) };
}

export function list(parts) {
  return cached("list", () => new Intl.ListFormat(locale, { type: "unit", style: "long" })).format(parts);
}

export function shortUuid(uuid) {
  return uuid ? uuid.slice(0, 8) : UNKNOWN;
}

export function title(name) {
  return name ? `${name} · vmclone` : t("app.name");
}
