/** One video of a new job: thumbnail, face check and upload. */

import { h, icon } from "./dom.js";
import { checkUpload, chooseFace, lookAt } from "./faces.js";
import { bytes, clock, t, tn } from "./i18n.js";
import { faceWords } from "./options.js";
import { ProgressLine } from "./progress.js";

const THUMBNAIL_WIDTH = 320;
const STILL_WIDTH = 1600;

/** @typedef {import("./upload.js").Upload} Upload */
/** @typedef {import("./faces.js").FaceCheck} FaceCheck */

export class VideoCard {
  /** @param {Upload} upload @param {{remove: () => void, retry: () => void, changed: () => void}} actions */
  constructor(upload, { remove, retry, changed }) {
    this.upload = upload;
    this.changed = changed;
    this.check = /** @type {FaceCheck | null} */ (null);
    this.checking = true;
    this.wantsServer = !upload.file;
    this.face = "";
    this.still = "";
    this.facts = [bytes(upload.size)];
    this.thumbnail = h("div", { class: "thumbnail" }, icon("film"));
    this.meta = h("p", { class: "small muted" }, this.facts.join(" · "));
    this.verdict = h("div", { class: "verdict" });
    this.line = new ProgressLine(upload.name, retry);
    this.element = this.build(remove);
    this.showVerdict();
    this.update();
    if (upload.file) this.look(upload.file);
  }

  /** @param {() => void} remove */
  build(remove) {
    const { name } = this.upload;
    return h(
      "li",
      { class: "video" },
      this.thumbnail,
      h("div", { class: "video-text" }, h("p", { class: "file-name ellipsis", title: name, dir: "auto" }, name), this.meta, this.verdict),
      h("button", { type: "button", class: "icon-button remove", "aria-label": t("upload.remove", { name }), title: t("upload.remove", { name }), onclick: remove }, icon("trash")),
      this.line.element,
    );
  }

  /** @param {File} file */
  async look(file) {
    try {
      const look = await lookAt(file, (seen) => this.seen(seen));
      this.seen(look);
      if (look.check && look.check.faces.length > 1) this.still = await addressOf(smaller(look.still, STILL_WIDTH));
      this.found(look.check);
    } catch {
      this.wantsServer = true;
      this.showVerdict();
      this.update();
    }
  }

  /** @param {import("./faces.js").Look} look */
  seen({ width, height, seconds, still }) {
    this.facts = [bytes(this.upload.size), ...(seconds ? [clock(seconds)] : []), `${width}\u00a0×\u00a0${height}`];
    this.meta.textContent = this.facts.join(" · ");
    this.showThumbnail(smaller(still, THUMBNAIL_WIDTH));
  }

  /** @param {HTMLElement} image */
  showThumbnail(image) {
    image.setAttribute("aria-hidden", "true");
    this.thumbnail.replaceChildren(image);
  }

  /** @param {FaceCheck | null} check */
  found(check) {
    this.checking = false;
    this.check = check;
    this.showVerdict();
    this.changed();
  }

  /** Let the server look at a finished upload that this browser cannot show. */
  async askServer() {
    this.wantsServer = false;
    this.showVerdict();
    const check = await checkUpload(this.upload.id);
    const address = check?.still_url ?? `/api/v1/uploads/${encodeURIComponent(this.upload.id)}/still`;
    const image = h("img", { src: address, alt: "" });
    image.addEventListener("load", () => this.showThumbnail(image));
    this.still = address;
    if (check?.width) this.meta.textContent = [bytes(this.upload.size), `${check.width}\u00a0×\u00a0${check.height}`].join(" · ");
    this.found(check);
  }

  /** Show what changed in the upload. */
  update() {
    this.line.show(this.upload);
    if (this.wantsServer && this.upload.state === "done") this.askServer();
  }

  showVerdict() {
    this.verdict.replaceChildren(...this.verdictParts());
  }

  /** @returns {Node[]} */
  verdictParts() {
    if (this.wantsServer) return [badge("", "face", t("faces.later"))];
    if (this.checking) return [badge("accent", "face", t("faces.checking"))];
    if (!this.check) return [badge("", "face", t("faces.unchecked"))];
    const { verdict, faces } = this.check;
    const parts = [];
    if (this.face) parts.push(badge("good", "check", t("faces.speaks", { number: Number(this.face) + 1 })));
    else if (verdict === "several") parts.push(badge("accent", "face", tn("faces.several", faces.length)), h("span", { class: "small muted" }, t("faces.by_option", { face: faceWords() })));
    else parts.push(badge({ good: "good", too_small: "warn", turned: "warn", none: "bad" }[verdict], verdict === "good" ? "check" : "warning", t(`faces.verdict.${verdict}`)));
    if (faces.length > 1) parts.push(this.chooseButton());
    if (verdict !== "good" && verdict !== "several" && !this.face) parts.push(h("p", { class: "small muted" }, t(`faces.advice.${verdict}`)));
    return parts;
  }

  chooseButton() {
    const label = t(this.face ? "faces.change" : "faces.pick");
    return h("button", { type: "button", class: "button small", "aria-label": t("faces.pick_for", { label, name: this.upload.name }), onclick: () => this.choose() }, label);
  }

  close() {
    if (this.still.startsWith("blob:")) URL.revokeObjectURL(this.still);
    this.element.remove();
  }

  async choose() {
    if (!this.check || !this.still) return;
    const chosen = await chooseFace({ name: this.upload.name, check: this.check, still: this.still, chosen: this.face });
    if (chosen !== null) this.face = chosen;
    this.showVerdict();
    /** @type {HTMLElement | null} */ (this.verdict.querySelector("button"))?.focus();
    this.changed();
  }
}

/** @param {string | undefined} kind @param {string} name @param {string} text */
function badge(kind, name, text) {
  return h("span", { class: `badge ${kind ?? ""}` }, icon(name), text);
}

/** Return an address of a still. @param {HTMLCanvasElement} still @returns {Promise<string>} */
async function addressOf(still) {
  const blob = await new Promise((resolve) => still.toBlob(resolve, "image/jpeg", 0.85));
  return blob ? URL.createObjectURL(blob) : "";
}

/** @param {HTMLCanvasElement} still @param {number} width @returns {HTMLCanvasElement} */
function smaller(still, width) {
  const scale = Math.min(1, width / still.width);
  const canvas = h("canvas", { width: Math.max(1, Math.round(still.width * scale)), height: Math.max(1, Math.round(still.height * scale)) });
  canvas.getContext("2d").drawImage(still, 0, 0, canvas.width, canvas.height);
  return canvas;
}
