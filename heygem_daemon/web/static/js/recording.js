/** The recording of a new job: its player with the waveform, and its upload. */

import { h, icon, setText } from "./dom.js";
import { bytes, clock, t } from "./i18n.js";
import { ProgressLine } from "./progress.js";
import { drawWaveform, peaksOfFile, peaksOfUpload } from "./waveform.js";

const STEPS = 1000;

/** @typedef {import("./upload.js").Upload} Upload */

export class RecordingCard {
  /** @param {Upload} upload @param {{remove: () => void, retry: () => void}} actions */
  constructor(upload, { remove, retry }) {
    this.upload = upload;
    this.peaks = /** @type {number[]} */ ([]);
    this.seconds = 0;
    this.url = upload.file ? URL.createObjectURL(upload.file) : "";
    this.audio = h("audio", { preload: "metadata", src: this.url || null });
    this.canvas = h("canvas", { class: "waveform-canvas", "aria-hidden": "true" });
    this.play = h("button", { type: "button", class: "play-button", onclick: () => this.toggle(), "aria-label": t("recording.play") }, icon("play"));
    this.seek = h("input", { type: "range", class: "waveform-seek", min: 0, max: STEPS, value: 0, step: 1, "aria-label": t("recording.seek") });
    this.time = h("span", { class: "small muted recording-time" });
    this.note = h("p", { class: "small muted", hidden: true }, t("recording.unplayable"));
    this.line = new ProgressLine(upload.name, retry);
    this.element = this.build(remove);
    this.listen();
    this.update();
    this.measure();
  }

  /** @param {() => void} remove */
  build(remove) {
    const { name, size } = this.upload;
    const close = h("button", { type: "button", class: "icon-button", "aria-label": t("upload.remove", { name }), title: t("upload.remove", { name }), onclick: remove }, icon("trash"));
    return h(
      "div",
      { class: "recording" },
      h("div", { class: "recording-head" }, h("div", { class: "grow" }, h("p", { class: "file-name ellipsis", title: name, dir: "auto" }, name), h("p", { class: "small muted" }, bytes(size))), close),
      h("div", { class: "player" }, this.play, h("div", { class: "waveform" }, this.canvas, this.seek), this.time),
      this.note,
      this.line.element,
      this.audio,
    );
  }

  listen() {
    const redraw = () => this.draw();
    this.audio.addEventListener("timeupdate", redraw);
    this.audio.addEventListener("loadedmetadata", redraw);
    this.audio.addEventListener("error", () => this.unplayable());
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this.showButton());
    this.seek.addEventListener("input", () => {
      if (this.length()) this.audio.currentTime = (Number(this.seek.value) / STEPS) * this.length();
      this.draw();
    });
    this.resized = new ResizeObserver(redraw);
    this.resized.observe(this.canvas);
    this.themed = new MutationObserver(redraw);
    this.themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    if (!this.url) this.unplayable();
  }

  length() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.seconds;
  }

  unplayable() {
    this.play.disabled = true;
    this.seek.disabled = true;
    this.note.hidden = !this.url;
  }

  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => this.unplayable());
    else this.audio.pause();
  }

  showButton() {
    const playing = !this.audio.paused;
    this.play.replaceChildren(icon(playing ? "pause" : "play"));
    this.play.setAttribute("aria-label", t(playing ? "recording.pause" : "recording.play"));
  }

  async measure() {
    const found = this.upload.file ? await peaksOfFile(this.upload.file) : null;
    if (found) this.take(found);
    else this.wantsPeaks = true;
    this.update();
  }

  /** @param {import("./waveform.js").Peaks | null} found */
  take(found) {
    if (!found) return;
    this.peaks = found.peaks;
    this.seconds = found.seconds;
    this.draw();
  }

  draw() {
    const length = this.length();
    const now = this.audio.currentTime || 0;
    drawWaveform(this.canvas, this.peaks, length ? now / length : 0);
    if (length && document.activeElement !== this.seek) this.seek.value = String(Math.round((now / length) * STEPS));
    this.seek.setAttribute("aria-valuetext", `${clock(now)} / ${clock(length)}`);
    setText(this.time, length ? `${clock(now)} / ${clock(length)}` : "");
  }

  /** Show what changed in the upload. */
  update() {
    this.line.show(this.upload);
    if (this.wantsPeaks && this.upload.state === "done") {
      this.wantsPeaks = false;
      peaksOfUpload(this.upload.id).then((found) => this.take(found));
    }
  }

  close() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    this.resized?.disconnect();
    this.themed?.disconnect();
    this.element.remove();
  }
}
