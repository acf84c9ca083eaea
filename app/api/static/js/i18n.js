// Words. One catalogue a language, with the same keys; a key with `.one` and `.other` has a number.

import { ApiError } from "./api.js";

export const LANGUAGES = { en: "English", zh: "中文" };
const KEY = "vmclone.language";

let words = {};
let plural = new Intl.PluralRules("en");
export let language = "en";
export let locale = "en"; // the language with the reader's own region, for numbers and dates

export function preferredLanguage() {
  const chosen = stored();
  if (chosen in LANGUAGES) return chosen;
  return navigator.languages.some((name) => name.toLowerCase().startsWith("zh")) ? "zh" : "en";
}

/** Loads its words; every `t` after that speaks it. Raises ApiError, and nothing has changed then. */
export async function speak(name) {
  words = await wordsOf(name);
  language = name;
  locale = navigator.languages.find((one) => one.toLowerCase().split("-")[0] === name) ?? name;
  plural = new Intl.PluralRules(name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : name;
}

/** Speaks it from now on, in this browser. Raises as `speak`. */
export async function choose(name) {
  await speak(name);
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // It holds for this page, then.
  }
}

async function wordsOf(name) {
  const answer = await fetch(`/static/lang/${name}.json`).catch(() => null);
  if (!answer?.ok) throw new ApiError({ title: "network" });
  return answer.json();
}

/** The text of a key with {names} filled in. `n` chooses the plural form. */
export function t(key, values = {}) {
  const text = words[key] ?? words[`${key}.${plural.select(values.n ?? 0)}`] ?? words[`${key}.other`];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** The text of a word of the API's, or the word itself where a newer server has a new one. */
export function word(kind, value) {
  return said(`${kind}.${value}`, String(value ?? ""));
}

/** What the API says in English, in the reader's language where its catalogue has that. */
export function said(key, english) {
  return words[key] ?? english;
}

function stored() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
