/** The source and the result of an item on one clock, which is the result's; its audio is the one that is heard. */

import { fill, h, icon, setText } from "./dom.js";
import { frameClock, isImage } from "./formats.js";
import { clock, t } from "./i18n.js";
import { frameAt, framesIn, rateOf, sourceAt, stepped, timeOf } from "./timeline.js";

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2];
const MODES = ["side", "wipe", "result"];
/** Seconds that the source may be away before it is put right by a seek, and from which on it runs a little faster or slower. */
const FAR = 0.15;
const NEAR = 0.02;
const SKIP = 5;

export class Player {
  /**
   * @param {{result: string, source: string | null, preview: string | null, name: string, rate: string | null, width: number | null, height: number | null, loop?: boolean}} media
   */
  constructor(media) {
    this.media = media;
    this.rate = rateOf(media.rate);
    this.speed = 1;
    /** What the position and the time say now. */
    this.shown = "";
    this.result = h("video", { src: media.result, preload: "metadata", playsinline: true, "aria-label": t("player.result") });
    this.resultNote = h("p", { class: "stage-note", role: "status", hidden: true });
    this.sourceNote = h("p", { class: "stage-note", role: "status", hidden: true });
    this.belowNote = h("p", { class: "player-note muted small", role: "status", hidden: true });
    this.source = this.#makeSource();
    this.wipe = h("input", { type: "range", class: "wipe", min: 0, max: 100, value: 50, "aria-label": t("player.wipe") });
    this.stage = this.#makeStage();
    this.element = h("div", { class: "player", role: "group", "aria-label": t("player.label", { name: media.name }), dataset: { mode: "side" } }, this.stage, this.#makeControls(), this.belowNote);
    if (!this.source) this.#note(this.belowNote, t("player.source_gone"));
    if (media.width && media.height) {
      this.element.style.setProperty("--shape", `${media.width} / ${media.height}`);
      this.element.dataset.narrow = String(media.height > 0.9 * media.width);
    }
    this.#setMode(this.source ? "side" : "result");
    this.#listen();
  }

  /** Stop, and let the browser forget what it loaded. */
  close() {
    for (const video of [this.result, this.source]) {
      if (!(video instanceof HTMLVideoElement)) continue;
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
  }

  get #duration() {
    return Number.isFinite(this.result.duration) ? this.result.duration : 0;
  }

  /** @returns {number} */
  get #sourceFrames() {
    return this.source instanceof HTMLVideoElement ? framesIn(this.source.duration, this.rate) : 1;
  }

  // -- its parts ------------------------------------------------------------------------------------------------------

  #makeSource() {
    const { source, preview, name } = this.media;
    if (!source && !preview) return null;
    if (isImage(name) && source) return h("img", { src: source, alt: t("player.source") });
    const video = h("video", { src: source ?? preview, preload: "metadata", muted: true, playsinline: true, "aria-label": t("player.source") });
    video.muted = true;
    video.addEventListener("error", () => this.#sourceFailed(video));
    video.addEventListener("loadedmetadata", () => {
      if (video.videoWidth === 0) this.#sourceFailed(video);
      else this.#sourceLoaded();
    });
    video.addEventListener("seeked", () => this.#follow());
    return video;
  }

  #makeStage() {
    const source = this.source && h("figure", { class: "stage-source" }, h("div", { class: "stage-frame" }, this.source, this.sourceNote), h("figcaption", null, t("player.source")));
    const result = h("figure", { class: "stage-result" }, h("div", { class: "stage-frame" }, this.result, this.resultNote), h("figcaption", null, t("player.result")));
    return h("div", { class: "stage" }, source, result, source && this.wipe, source && h("span", { class: "wipe-line", "aria-hidden": "true" }));
  }

  #makeControls() {
    this.playButton = h("button", { type: "button", class: "icon-button play", "aria-label": t("player.play") }, icon("play"));
    this.seek = h("input", { type: "range", class: "seek", min: 0, max: 0, step: 1, value: 0, "aria-label": t("player.position") });
    this.time = h("span", { class: "player-time" }, "0:00");
    this.loopButton = h("button", { type: "button", class: "icon-button", "aria-pressed": "false", "aria-label": t("player.loop"), title: t("player.loop") }, icon("retry"));
    this.muteButton = h("button", { type: "button", class: "icon-button", "aria-pressed": "false", "aria-label": t("player.mute"), title: t("player.mute") }, icon("volume"));
    const step = (/** @type {number} */ frames, /** @type {string} */ name) =>
      h("button", { type: "button", class: "icon-button", "aria-label": t(`player.${name}`), title: t(`player.${name}`), onclick: () => this.step(frames) }, icon(name));
    const speeds = SPEEDS.map((speed) => h("option", { value: speed, selected: speed === 1 }, `${speed}×`));
    this.speedChoice = h("select", { class: "speed", "aria-label": t("player.speed"), title: t("player.speed") }, speeds);
    this.modes = MODES.map((mode) => h("button", { type: "button", dataset: { mode }, "aria-pressed": "false", onclick: () => this.#setMode(mode) }, t(`player.mode.${mode}`)));
    return h(
      "div",
      { class: "controls" },
      h("div", { class: "controls-seek" }, this.playButton, this.seek, this.time),
      h(
        "div",
        { class: "controls-more" },
        step(-1, "step-back"),
        step(1, "step-forward"),
        this.loopButton,
        this.muteButton,
        this.speedChoice,
        document.fullscreenEnabled && this.#fullscreenButton(),
        this.source && h("div", { class: "tabs modes", role: "group", "aria-label": t("player.mode") }, this.modes),
      ),
    );
  }

  #fullscreenButton() {
    const button = h("button", { type: "button", class: "icon-button", "aria-label": t("player.fullscreen"), title: t("player.fullscreen") }, icon("expand"));
    button.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : this.element.requestFullscreen()));
    return button;
  }

  #listen() {
    const { result } = this;
    this.playButton.addEventListener("click", () => this.toggle());
    this.loopButton.addEventListener("click", () => this.#toggle(this.loopButton, (result.loop = !result.loop)));
    this.muteButton.addEventListener("click", () => this.#mute());
    this.speedChoice.addEventListener("change", () => this.#setSpeed(Number(this.speedChoice.value)));
    this.seek.addEventListener("input", () => this.#goTo(timeOf(Number(this.seek.value), this.rate)));
    this.wipe.addEventListener("input", () => this.stage.style.setProperty("--wipe", `${this.wipe.value}%`));
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    for (const name of ["play", "pause", "ended"]) result.addEventListener(name, () => this.#playingChanged());
    for (const name of ["seeking", "seeked", "timeupdate"]) result.addEventListener(name, () => this.#show());
    result.addEventListener("loadedmetadata", () => this.#resultLoaded());
    result.addEventListener("error", () => this.#note(this.resultNote, t("player.result_unplayable")));
    result.addEventListener("click", () => this.toggle());
  }

  #resultLoaded() {
    if (this.result.videoWidth === 0) this.#note(this.resultNote, t("player.result_unplayable"));
    this.seek.max = Math.max(0, framesIn(this.#duration, this.rate) - 1);
    this.#show();
  }

  #sourceLoaded() {
    this.#note(this.sourceNote, "");
    this.#show();
  }

  /** Try the preview that the server makes, once; else say that this browser cannot play the file. @param {HTMLVideoElement} video */
  #sourceFailed(video) {
    const { preview } = this.media;
    if (preview && video.getAttribute("src") !== preview) {
      this.#note(this.sourceNote, t("player.preview_loading"));
      video.src = preview;
      return;
    }
    this.#withoutSource();
  }

  /** Show the result alone, and say why: the original is gone, or this browser cannot play it. */
  async #withoutSource() {
    this.source = null;
    this.#note(this.sourceNote, "");
    for (const button of this.modes) button.parentElement.hidden = true;
    this.#setMode("result");
    const address = this.media.source ?? this.media.preview;
    const answer = await fetch(/** @type {string} */ (address), { method: "HEAD" }).catch(() => null);
    this.#note(this.belowNote, t(answer?.ok ? "player.source_unplayable" : "player.source_gone"));
  }

  /** @param {HTMLElement} note @param {string} text */
  #note(note, text) {
    note.hidden = !text;
    setText(note, text);
  }

  // -- what people do -------------------------------------------------------------------------------------------------

  toggle() {
    if (this.result.paused) this.result.play().catch(() => this.#playingChanged());
    else this.result.pause();
  }

  /** Go some frames on or back, and stand still there. @param {number} frames */
  step(frames) {
    this.result.pause();
    this.#goTo(stepped(this.result.currentTime, frames, this.rate, this.#duration));
  }

  /** @param {number} seconds */
  #goTo(seconds) {
    this.result.currentTime = Math.min(Math.max(seconds, 0), this.#duration);
    this.#show();
  }

  /** @param {number} speed */
  #setSpeed(speed) {
    this.speed = speed;
    this.result.playbackRate = speed;
    this.#follow();
  }

  #mute() {
    this.result.muted = !this.result.muted;
    fill(this.muteButton, icon(this.result.muted ? "muted" : "volume"));
    this.#toggle(this.muteButton, this.result.muted);
  }

  /** @param {Element} button @param {boolean} on */
  #toggle(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }

  /** @param {string} mode */
  #setMode(mode) {
    this.element.dataset.mode = mode;
    for (const button of this.modes) this.#toggle(button, button.dataset.mode === mode);
    this.#follow();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const from = /** @type {Element} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || from === this.wipe || from.tagName === "SELECT") return;
    if (event.key === " " && from.tagName === "BUTTON") return;
    const keys = {
      " ": () => this.toggle(),
      ",": () => this.step(-1),
      ".": () => this.step(1),
      ArrowLeft: () => this.#goTo(this.result.currentTime - SKIP),
      ArrowRight: () => this.#goTo(this.result.currentTime + SKIP),
      Home: () => this.#goTo(0),
      End: () => this.#goTo(stepped(this.#duration, 0, this.rate, this.#duration)),
    };
    const action = /** @type {Record<string, () => void>} */ (keys)[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  // -- the clock ------------------------------------------------------------------------------------------------------

  #playingChanged() {
    const playing = !this.result.paused && !this.result.ended;
    fill(this.playButton, icon(playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", t(playing ? "player.pause" : "player.play"));
    this.#show();
    if (playing) this.#tick();
  }

  #tick() {
    if (this.result.paused || this.result.ended || !this.element.isConnected) return;
    this.#show();
    requestAnimationFrame(() => this.#tick());
  }

  #show() {
    const frame = frameAt(this.result.currentTime, this.rate);
    const shown = `${frame} ${this.#duration}`;
    if (shown !== this.shown) {
      this.shown = shown;
      const position = frameClock(frame, this.rate);
      setText(this.time, `${position} / ${clock(this.#duration)}`);
      this.seek.value = frame;
      this.seek.style.setProperty("--played", `${(100 * frame) / Math.max(1, Number(this.seek.max))}%`);
      this.seek.setAttribute("aria-valuetext", t("player.at", { position, frame: frame + 1 }));
    }
    this.#follow();
  }

  /** Bring the source to where the result stands. */
  #follow() {
    const { source } = this;
    if (!(source instanceof HTMLVideoElement) || source.readyState < 1) return;
    if (this.element.dataset.mode === "result") return void source.pause();
    const { time, forwards } = sourceAt(this.result.currentTime, this.rate, this.#sourceFrames);
    const running = forwards && !this.result.paused && !this.result.ended && !this.result.seeking;
    if (running) this.#run(source, time);
    else this.#standStill(source, time);
  }

  /** @param {HTMLVideoElement} source @param {number} time */
  #run(source, time) {
    const ahead = source.currentTime - time;
    if (Math.abs(ahead) > FAR * Math.max(1, this.speed) && !source.seeking) source.currentTime = time;
    const nudge = Math.abs(ahead) < NEAR ? 1 : ahead > 0 ? 0.94 : 1.06;
    if (source.playbackRate !== this.speed * nudge) source.playbackRate = this.speed * nudge;
    if (source.paused) source.play().catch(() => {});
  }

  /** @param {HTMLVideoElement} source @param {number} time */
  #standStill(source, time) {
    if (!source.paused) source.pause();
    if (source.seeking) return;
    if (frameAt(source.currentTime, this.rate) !== frameAt(time, this.rate)) source.currentTime = timeOf(frameAt(time, this.rate), this.rate);
  }
}
