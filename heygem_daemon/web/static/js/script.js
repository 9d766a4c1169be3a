/** The script of a new job: written into the box, or a file. */

import { byId, fill, h, icon, toast } from "./dom.js";
import { t } from "./i18n.js";
import { suffixOf } from "./files.js";
import { ProgressLine } from "./progress.js";

const READ_HERE = [".txt", ".md"];
const LONGEST = 200000;

/** @typedef {import("./upload.js").Upload} Upload */

export class ScriptBox {
  /** @param {{upload: (file: File) => Upload, remove: (upload: Upload) => void, retry: (upload: Upload) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.upload = /** @type {Upload | null} */ (null);
  }

  /** The text in the box; undefined where there is none, or a file instead. */
  get text() {
    return this.upload ? undefined : byId("script").value.trim() || undefined;
  }

  /** Take a plain text into the box, where it can be read and changed; upload other documents. @param {File} file */
  async take(file) {
    if (READ_HERE.includes(suffixOf(file.name)) && (await this.read(file))) return;
    if (this.upload) this.remove();
    this.show(this.actions.upload(file));
  }

  /** @param {File} file @returns {Promise<boolean>} whether the box has its text now */
  async read(file) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      if (text.length > LONGEST) return false;
      if (this.upload) this.remove();
      byId("script").value = text.trim();
      toast(t("script.read", { name: file.name }), "good");
      return true;
    } catch {
      return false;
    }
  }

  /** @param {Upload} upload */
  show(upload) {
    this.upload = upload;
    const { name } = upload;
    const line = new ProgressLine(name, () => this.actions.retry(upload));
    const close = h("button", { type: "button", class: "icon-button", "aria-label": t("upload.remove", { name }), title: t("upload.remove", { name }), onclick: () => this.remove() }, icon("trash"));
    fill(byId("script-file"), h("div", { class: "recording-head" }, h("p", { class: "file-name ellipsis grow", title: name, dir: "auto" }, name), close), line.element);
    byId("script-file").hidden = false;
    byId("script").hidden = true;
    this.update = () => line.show(upload);
    this.update();
  }

  update() {}

  remove() {
    if (this.upload) this.actions.remove(this.upload);
    this.upload = null;
    this.update = () => {};
    byId("script-file").hidden = true;
    byId("script").hidden = false;
  }
}
