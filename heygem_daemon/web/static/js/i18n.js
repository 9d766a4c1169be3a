/** Texts, numbers and times in the language of the screen. */

/** @type {Record<string, string>} */
const catalog = JSON.parse(document.getElementById("catalog")?.textContent || "{}");

/** The language tag of the screen: "en" or "zh-CN". */
export const locale = document.documentElement.lang || "en";

const plural = new Intl.PluralRules(locale);

/**
 * Return the text of a key with its `{fields}` filled in; the key itself where there is none.
 * @param {string} key
 * @param {Record<string, unknown>} [fields]
 */
export function t(key, fields) {
  const text = catalog[key] ?? key;
  return fields ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in fields ? String(fields[name]) : whole)) : text;
}

/** Return whether a key has a text. @param {string} key */
export function has(key) {
  return key in catalog;
}

/**
 * Return the text for a number of things: `<key>.one` or `<key>.other`, `{n}` filled in.
 * @param {string} key
 * @param {number} n
 * @param {Record<string, unknown>} [fields]
 */
export function tn(key, n, fields) {
  const form = has(`${key}.${plural.select(n)}`) ? plural.select(n) : "other";
  return t(`${key}.${form}`, { n: number(n), ...fields });
}

/** Return sentences as one text; Chinese has no spaces between them. @param {...(string | null | undefined)} parts */
export function sentences(...parts) {
  return parts.filter(Boolean).join(locale.startsWith("zh") ? "" : " ");
}

/** Return names as a list in words. @param {string[]} names */
export function listed(names) {
  return new Intl.ListFormat(locale, { type: "conjunction" }).format(names);
}

/** @param {number} value @param {number} [digits] digits after the point, at most */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** @param {number} value 0-100 */
export function percent(value) {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(value / 100);
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** Return a size as people read it: 812 KB, 1.4 GB (of 1024). @param {number} size */
export function bytes(size) {
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number(value, unit > 1 && value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Return a position or length as on a player: 0:07, 12:03, 1:02:03. @param {number} seconds */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** Return how long something takes, in words: 8 s, 3 min, 2 h 5 min. @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("time.seconds", { s: whole });
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return t("time.minutes", { m: minutes });
  return t("time.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** Return a moment: the time alone today, else with its date. @param {string | Date} moment */
export function when(moment) {
  const date = new Date(moment);
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const form = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(locale, form).format(date);
}

/** Return how long ago a moment was: "2 minutes ago". @param {string | Date} moment */
export function ago(moment) {
  const seconds = (new Date(moment).getTime() - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  if (Math.abs(seconds) < 60) return relative.format(Math.round(seconds), "second");
  if (Math.abs(seconds) < 3600) return relative.format(Math.round(seconds / 60), "minute");
  if (Math.abs(seconds) < 86400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86400), "day");
}
