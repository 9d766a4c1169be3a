/** One result of a job: closed a line with its image and verdicts, open the player and everything that is known about it. */

import { fill, h, icon, setText } from "./dom.js";
import { stageWords } from "./jobviews.js";
import { bytes, clock, number, percent, t } from "./i18n.js";
import { wholePercent } from "./formats.js";
import { badge, progressBar, setBadge, setProgress, setThumbnail, thumbnail } from "./jobviews.js";
import { Player } from "./player.js";
import { problemCard } from "./problem.js";

const LEVEL_ICONS = { good: "check", fair: "info", poor: "warning" };

/** @param {string} path */
function fileName(path) {
  return path.split("/").pop() ?? path;
}

export class ItemCard {
  /** @param {boolean} only whether the job has no other: then it stays open */
  constructor(only) {
    this.only = only;
    /** @type {Player | null} */
    this.player = null;
    this.signature = "";
    this.title = h("span", { class: "item-name" });
    this.below = h("span", { class: "item-below muted small" });
    this.state = badge("queued");
    this.image = thumbnail("");
    this.levels = h("span", { class: "item-levels" });
    this.bar = progressBar(t("jobs.progress"));
    this.doing = h("span", { class: "small muted" });
    this.progress = h("div", { class: "job-progress" }, this.bar, this.doing);
    this.stage = h("div", { class: "item-player" });
    this.body = h("div", { class: "item-facts" });
    const chevron = only ? null : icon("chevron");
    const head = [this.image, h("span", { class: "item-title" }, this.title, this.below), this.levels, this.state, chevron, this.progress];
    this.element = only
      ? h("article", { class: "card item only" }, h("h2", { class: "item-head" }, head), this.stage, this.body)
      : h("details", { class: "card item" }, h("summary", { class: "item-head" }, head), this.stage, this.body);
    this.element.addEventListener("toggle", () => this.#toggled());
  }

  get isOpen() {
    return this.only || this.element.open;
  }

  open() {
    if (!this.only) this.element.open = true;
  }

  /**
   * @param {any} item in words
   * @param {any} status as in status.json
   * @param {string} fit
   */
  show(item, status, fit) {
    this.item = item;
    this.status = status;
    this.fit = fit;
    setText(this.title, fileName(status.video ?? item.key));
    setText(this.below, [status.recording && fileName(status.recording), status.seconds && clock(status.seconds), status.width && `${status.width} × ${status.height}`].filter(Boolean).join(" · "));
    setBadge(this.state, item.state);
    setThumbnail(this.image, item.thumbnail_url);
    this.image.hidden = this.only || !item.thumbnail_url;
    const { progress } = status;
    const running = item.state === "running" && progress;
    this.progress.hidden = !running;
    if (running) {
      setProgress(this.bar, progress.percent);
      setText(this.doing, [stageWords(progress.stage), percent(wholePercent(progress.percent))].filter(Boolean).join(" · "));
    }
    const signature = JSON.stringify([item, status.frames, status.error, status.reason]);
    if (signature === this.signature) return;
    this.signature = signature;
    fill(this.levels, item.verdicts.filter((/** @type {any} */ each) => each.level !== "good").map(levelBadge));
    this.#fillBody();
    this.#toggled();
  }

  #toggled() {
    if (!this.isOpen || this.player || !this.item?.result_url) return;
    const { item, status } = this;
    this.player = new Player({
      result: item.result_url,
      source: item.source_url,
      preview: item.source_preview_url,
      name: fileName(status.video ?? item.key),
      rate: status.frame_rate,
      width: status.width,
      height: status.height,
    });
    fill(this.stage, this.player.element);
  }

  #fillBody() {
    const { item, status } = this;
    const originals = status.warning_details ?? {};
    fill(
      this.body,
      item.error && problemCard(item.error, "error", status.error?.message),
      !item.error && !item.result_url && item.state !== "running" && status.reason && h("p", { class: "muted" }, status.reason),
      item.verdicts.length > 0 && verdictList(item.verdicts),
      item.warnings.map((/** @type {any} */ each) => problemCard(each, "warning", originals[each.code])),
      item.result_url && this.#images(),
      item.result_url && this.#download(),
    );
  }

  #images() {
    const { item, status } = this;
    const name = fileName(status.video ?? item.key);
    return h(
      "div",
      { class: "item-images" },
      item.thumbnail_url && figure(item.thumbnail_url, t("job.before_after"), t("job.before_after.of", { name })),
      item.explain_url && figure(item.explain_url, t("job.explain"), t("job.explain.of", { name })),
    );
  }

  #download() {
    const { item, status } = this;
    const facts = [
      item.bytes && bytes(item.bytes),
      status.frame_rate && t("job.rate", { rate: number(rateNumber(status.frame_rate), 3) }),
      status.frames && t("job.frames", { n: number(status.frames) }),
      status.speed && t("job.speed", { speed: number(status.speed, 2) }),
      status.engine,
    ];
    return h(
      "p",
      { class: "item-download" },
      h("a", { class: "button small", href: `${item.result_url}?download=1`, download: "" }, icon("download"), t("job.download_this")),
      h("span", { class: "muted small" }, facts.filter(Boolean).join(" · ")),
    );
  }
}

/** @param {string} text */
function rateNumber(text) {
  const [above, below = "1"] = text.split("/");
  return Number(above) / Number(below);
}

/** @param {any} verdict */
function levelBadge(verdict) {
  return h("span", { class: `badge ${verdict.level}` }, icon(LEVEL_ICONS[verdict.level]), t(`job.verdict.${verdict.name}`));
}

/** @param {any[]} verdicts */
function verdictList(verdicts) {
  return h(
    "ul",
    { class: "verdicts" },
    verdicts.map((verdict) =>
      h(
        "li",
        { class: `verdict ${verdict.level}` },
        icon(LEVEL_ICONS[verdict.level]),
        h("div", null, h("p", { class: "verdict-name" }, t(`job.verdict.${verdict.name}`), h("span", { class: "visually-hidden" }, `: ${t(`job.level.${verdict.level}`)}`)), h("p", { class: "verdict-text" }, verdict.text), verdict.value && h("p", { class: "small muted" }, verdict.value)),
      ),
    ),
  );
}

/** An image that opens large. @param {string} address @param {string} caption @param {string} label */
function figure(address, caption, label) {
  const open = h("button", { type: "button", class: "image-button", "aria-label": label, onclick: () => enlarge(address, caption) }, h("img", { src: address, alt: "", loading: "lazy" }));
  return h("figure", null, open, h("figcaption", { class: "small muted" }, caption));
}

/** @param {string} address @param {string} caption */
function enlarge(address, caption) {
  const close = h("button", { type: "submit", class: "icon-button", "aria-label": t("action.close"), autofocus: true }, icon("close"));
  const dialog = h("dialog", { class: "image-dialog", "aria-label": caption }, h("form", { method: "dialog", class: "image-dialog-head" }, h("h2", null, caption), close), h("img", { src: address, alt: caption }));
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => event.target === dialog && dialog.close());
  dialog.showModal();
}
