/** The lines of a job's log, newer ones as they come while it is looked at. */

import { api } from "./api.js";
import { copyButton } from "./copying.js";
import { fill, h } from "./dom.js";
import { locale, t } from "./i18n.js";

const EVERY = 3000;

/** @param {string} moment */
function time(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? moment : new Intl.DateTimeFormat(locale, { timeStyle: "medium" }).format(date);
}

export class LogView {
  /** @param {() => string} idOf @param {() => boolean} isMoving whether lines may still come */
  constructor(idOf, isMoving) {
    this.idOf = idOf;
    this.isMoving = isMoving;
    /** @type {any[]} */
    this.lines = [];
    this.list = h("ol", { class: "log-lines", tabindex: 0, "aria-label": t("job.log") });
    this.note = h("p", { class: "muted small" }, t("jobs.loading"));
    const copy = copyButton(() => this.#asText(), t("job.log.copy"));
    this.element = h("details", { class: "disclosure log" }, h("summary", null, t("job.log")), h("div", { class: "log-body" }, h("div", { class: "log-copy" }, copy), this.note, this.list));
    this.element.addEventListener("toggle", () => this.refresh());
    setInterval(() => this.isMoving() && this.refresh(), EVERY);
  }

  #asText() {
    return this.lines.map((line) => `${line.time} ${line.level} ${line.event} ${line.message}`).join("\n");
  }

  /** Fetch the lines anew where they are looked at. */
  async refresh() {
    if (!this.element.open || this.busy) return;
    this.busy = true;
    try {
      const { lines } = await api(`jobs/${encodeURIComponent(this.idOf())}/log`);
      this.#show(lines);
    } catch (failure) {
      this.note.textContent = failure.message;
    } finally {
      this.busy = false;
    }
  }

  /** @param {any[]} lines */
  #show(lines) {
    this.note.hidden = lines.length > 0;
    this.note.textContent = t("job.log.empty");
    if (lines.length === this.lines.length && lines.at(-1)?.time === this.lines.at(-1)?.time) return;
    this.lines = lines;
    const follows = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 8;
    fill(this.list, lines.map(row));
    if (follows) this.list.scrollTop = this.list.scrollHeight;
  }
}

/** @param {any} line */
function row(line) {
  return h(
    "li",
    { class: `log-${line.level}` },
    h("time", { datetime: line.time, title: line.time }, time(line.time)),
    h("span", { class: "log-level" }, line.level),
    h("span", { lang: "en" }, line.message || line.event),
  );
}
