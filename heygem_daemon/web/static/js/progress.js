/** How far an upload has come, in words and as a bar. */

import { h, icon, setText } from "./dom.js";
import { bytes, duration, percent, sentences, t } from "./i18n.js";

/** @typedef {import("./upload.js").Upload} Upload */

/** Return bytes, speed and time left as one text. @param {{offset: number, size: number, speed: number}} of */
export function progressText({ offset, size, speed }) {
  const parts = [t("upload.of", { done: bytes(offset), size: bytes(size) })];
  if (speed > 0) parts.push(t("upload.speed", { speed: bytes(speed) }), t("upload.left", { time: duration((size - offset) / speed) }));
  return parts.join(" · ");
}

/** Set a bar of the class `bar`. @param {HTMLElement} bar @param {number} part 0-1 */
export function setBar(bar, part) {
  const whole = Math.round(Math.min(1, Math.max(0, part)) * 100);
  bar.setAttribute("aria-valuenow", String(whole));
  bar.setAttribute("aria-valuetext", percent(whole));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${whole}%`;
}

/** The line below a file that shows its upload; `retry` is called by its button. */
export class ProgressLine {
  /** @param {string} name @param {() => void} retry */
  constructor(name, retry) {
    this.bar = h("div", { class: "bar", role: "progressbar", "aria-label": t("upload.progress", { name }), "aria-valuemin": 0, "aria-valuemax": 100 }, h("span"));
    this.text = h("span", { class: "progress-text" });
    this.mark = h("span", { class: "progress-mark" });
    this.button = h("button", { type: "button", class: "button small", hidden: true, onclick: retry }, icon("retry"), t("action.retry"));
    this.element = h("div", { class: "progress" }, this.bar, h("p", { class: "progress-line small" }, this.mark, this.text), this.button);
  }

  /** @param {Upload} upload */
  show(upload) {
    const { state } = upload;
    this.element.dataset.state = state;
    this.bar.hidden = state === "done" || state === "failed";
    this.bar.className = state === "retrying" || state === "missing" ? "bar warn" : "bar";
    setBar(this.bar, upload.size ? upload.offset / upload.size : 0);
    this.button.hidden = state !== "failed";
    const marks = { done: "check", failed: "error", retrying: "warning", missing: "warning" };
    if (this.mark.dataset.name !== (marks[state] ?? "")) {
      this.mark.dataset.name = marks[state] ?? "";
      this.mark.replaceChildren(...(marks[state] ? [icon(marks[state])] : []));
    }
    setText(this.text, this.words(upload));
  }

  /** @param {Upload} upload */
  words(upload) {
    switch (upload.state) {
      case "waiting":
        return t("upload.waiting");
      case "running":
        return progressText(upload);
      case "retrying":
        return t("upload.retrying", { reason: upload.error?.message ?? "" });
      case "missing":
        return t("upload.missing", { done: bytes(upload.offset), size: bytes(upload.size) });
      case "failed":
        return sentences(upload.error?.message, upload.error?.hint);
      default:
        return t("upload.done");
    }
  }
}
