// Names and patterns as they are typed, one a line: web-{001..100}. The rules are the server's,
// and as in `vmclone clone` other braces than a range's are a mistake in one.

export const MAX_NAMES = 10000;
const RANGE = /\{(\d{1,18})\.\.(\d{1,18})\}/g;

/** {names, pattern, fault}: `pattern` where the text is a single one, `fault` the key of a text and
 * its values. */
export function read(text) {
  const lines = text.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
  if (!lines.length) return { names: [], pattern: null, fault: null };
  const names = [];
  for (const line of lines) {
    const ranges = [...line.matchAll(RANGE)];
    if (ranges.length > 1) return failed("clone.names.ranges", { line });
    if (/[{}]/.test(line.replace(RANGE, ""))) return failed("clone.names.braces", { line });
    if (!ranges.length) {
      names.push(line);
      continue;
    }
    const [range] = ranges;
    const size = BigInt(range[2]) - BigInt(range[1]) + 1n;
    if (size < 1n) return failed("clone.names.empty", { line });
    if (size > MAX_NAMES) return failed("clone.names.many", {});
    const width = range[1].length;
    for (let n = BigInt(range[1]); n <= BigInt(range[2]); n += 1n) {
      names.push(line.slice(0, range.index) + String(n).padStart(width, "0") + line.slice(range.index + range[0].length));
    }
  }
  if (names.length > MAX_NAMES) return failed("clone.names.many", {});
  const long = names.find((name) => [...name].length > 255);
  if (long) return failed("clone.names.long", { line: long.slice(0, 40) });
  const isPattern = lines.length === 1 && names.length && names[0] !== lines[0];
  return { names, pattern: isPattern ? lines[0] : null, fault: null };
}

function failed(key, values) {
  return { names: [], pattern: null, fault: { key, values } };
}

/** The first ones and the last. */
export function shown(names) {
  return names.length > 5 ? [...names.slice(0, 3), "…", names.at(-1)] : names;
}
