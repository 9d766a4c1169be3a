/** Parts that show a job, the same on every screen: image, state, progress, times. */

import { h, setText } from "./dom.js";
import { initials, place, timeLeft, wholePercent } from "./formats.js";
import { has, percent, t } from "./i18n.js";

const MOVING = new Set(["running"]);

/** Return the address of a job's screen. @param {{id: string}} entry */
export function jobUrl(entry) {
  return `/jobs/${encodeURIComponent(entry.id)}`;
}

/** Return the state of a job as a badge. @param {string} state */
export function badge(state) {
  return h("span", { class: `badge state-${state}` }, t(`state.${state}`));
}

/** Change a badge in place. @param {Element} element @param {string} state */
export function setBadge(element, state) {
  element.className = `badge state-${state}`;
  setText(element, t(`state.${state}`));
}

/** Return the place of a job's image: the letters of its name until there is one. @param {string} name */
export function thumbnail(name) {
  return h("span", { class: "thumb", "aria-hidden": "true" }, h("span", { class: "thumb-letters" }, initials(name)));
}

/** Show an image in its place, the letters where there is none or it cannot be loaded. @param {Element} element @param {string | null} address */
export function setThumbnail(element, address) {
  const shown = element.querySelector("img");
  if ((shown?.getAttribute("src") ?? null) === address) return;
  shown?.remove();
  if (!address) return;
  const image = h("img", { src: address, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.remove());
  element.append(image);
}

/** Return a progress bar. @param {string} label what it measures */
export function progressBar(label) {
  return h("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, h("span"));
}

/** Move a bar; without a value it is hidden. @param {any} bar @param {number | null | undefined} value 0-100 */
export function setProgress(bar, value) {
  bar.hidden = value === null || value === undefined;
  if (bar.hidden) return;
  const whole = wholePercent(value);
  if (bar.getAttribute("aria-valuenow") === String(whole)) return;
  bar.setAttribute("aria-valuenow", whole);
  bar.firstElementChild.style.width = `${whole}%`;
}

/** Return "42 %" and the time left, as far as they are known. @param {{state: string, percent?: number | null, eta_s?: number | null}} entry */
export function progressWords(entry) {
  if (!MOVING.has(entry.state)) return "";
  const left = timeLeft(entry.eta_s);
  return [percent(wholePercent(entry.percent)), left && t(...left)].filter(Boolean).join(" · ");
}

/** Return what happens to a job now, or why it waits, in words. @param {any} entry */
export function happening(entry) {
  if (entry.state === "running") return [stageWords(entry.stage), itemWords(entry)].filter(Boolean).join(" · ");
  return entry.why || itemWords(entry);
}

/** @param {string} stage */
export function stageWords(stage) {
  return has(`jobs.stage.${stage}`) ? t(`jobs.stage.${stage}`) : "";
}

/** Return how many of a job's videos are done, where it has several. @param {any} entry */
export function itemWords(entry) {
  const { total, done, failed } = entry.items;
  if (total < 2) return "";
  return failed ? t("jobs.items.failed", { done, total, failed }) : t("jobs.items", { done, total });
}

/** Return the place in the queue in words. @param {any} entry */
export function placeWords(entry) {
  return entry.position ? t(...place(entry.position)) : "";
}
