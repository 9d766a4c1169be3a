/** Numbers of jobs as people read them. Words come back as [key, fields] for t(): nothing here depends on a language or a page. */

/** Return whole percents, 100 only when all is done. @param {number | null | undefined} value */
export function wholePercent(value) {
  const number = Math.min(Math.max(Number(value) || 0, 0), 100);
  return number >= 100 ? 100 : Math.min(99, Math.round(number));
}

/**
 * Return the time left, coarse enough not to jump with every report.
 * @param {number | null | undefined} seconds
 * @returns {[string, {n: number}] | null}
 */
export function timeLeft(seconds) {
  if (seconds === null || seconds === undefined) return null;
  if (seconds < 55) return ["jobs.left.seconds", { n: Math.max(5, Math.ceil(seconds / 5) * 5) }];
  if (seconds < 90 * 60) return ["jobs.left.minutes", { n: Math.max(1, Math.round(seconds / 60)) }];
  return ["jobs.left.hours", { n: Math.round(seconds / 360) / 10 }];
}

/**
 * Return a place in the queue; English needs its ending.
 * @param {number} position
 * @returns {[string, {n: number, th: string} | undefined]}
 */
export function place(position) {
  if (position === 1) return ["jobs.place.next", undefined];
  const tens = position % 100;
  const th = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][position % 10] ?? "th");
  return ["jobs.place.later", { n: position, th }];
}

/** Return up to two letters that stand for a name where there is no image. @param {string} name */
export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  if (words.length === 0) return "?";
  const first = [...words[0]][0];
  if (/\p{Script=Han}/u.test(first)) return first;
  return (first + (words.length > 1 ? [...words[words.length - 1]][0] : "")).toUpperCase();
}

/** Return a position with the number of its frame: 0:07.12. @param {number} frame @param {number} rate frames per second */
export function frameClock(frame, rate) {
  const second = Math.floor(frame / rate + 1e-6);
  const inside = frame - Math.ceil(second * rate - 1e-6);
  return `${Math.floor(second / 60)}:${String(second % 60).padStart(2, "0")}.${String(inside).padStart(2, "0")}`;
}

const IMAGES = /\.(jpe?g|png|webp|bmp|gif|avif)$/i;

/** Return whether a browser shows this file as an image. @param {string} name */
export function isImage(name) {
  return IMAGES.test(name);
}
