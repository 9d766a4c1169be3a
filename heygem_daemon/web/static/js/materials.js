/** The files of a new job: taking them, uploading them, and going on with those of before. */

import { byId, fill, setText, toast } from "./dom.js";
import { Draft } from "./draft.js";
import { sorted, stemOf } from "./files.js";
import { listed, t, tn } from "./i18n.js";
import { RecordingCard } from "./recording.js";
import { ScriptBox } from "./script.js";
import { Upload, UploadQueue } from "./upload.js";
import { VideoCard } from "./videocard.js";

/** @typedef {import("./upload.js").Role} Role */

export class Materials {
  /** @param {{changed: () => void, suggest: (name: string) => void}} owner changed: called after every change; suggest: gets a name for the job */
  constructor({ changed, suggest }) {
    this.changed = changed;
    this.suggest = suggest;
    this.draft = new Draft();
    this.queue = new UploadQueue(() => this.draft.open());
    /** @type {RecordingCard | null} */
    this.recording = null;
    /** @type {VideoCard[]} */
    this.videos = [];
    this.script = new ScriptBox({
      upload: (file) => this.begin(file, "script"),
      remove: (upload) => this.queue.remove(upload),
      retry: (upload) => this.queue.add(upload),
    });
    this.options = /** @type {any} */ (null);
    /** @type {[{files: File[], folder: string}, string][]} what was chosen before the options were there */
    this.early = [];
    this.isStarted = false;
    this.single = false;
  }

  /** Begin: go on with a draft of before, then take what was chosen in the meantime. @param {any} options */
  async start(options) {
    this.options = options;
    this.draft.inbox = Number(byId("inbox").value);
    await this.restore();
    this.isStarted = true;
    for (const [found, zone] of this.early.splice(0)) this.take(found, zone);
  }

  /**
   * Take files: into the zone they were given to, or by their types where they are a whole folder or were dropped beside the zones.
   * @param {{files: File[], folder: string}} found
   * @param {string} zone
   */
  take({ files, folder }, zone) {
    if (!this.isStarted) {
      this.early.push([{ files, folder }, zone]);
      return;
    }
    if (files.length === 0) return;
    const { recordings, videos, scripts, others } = sorted(files, this.options, folder);
    if (zone === "recording" && !folder && recordings.length === 0 && videos.length === 1) this.setRecording(videos[0]);
    else {
      if (recordings.length > 0) this.setRecording(recordings[0]);
      this.addVideos(videos);
    }
    if (scripts.length > 0) this.script.take(scripts[0]);
    if (folder) this.suggest(folder);
    const left = [...recordings.slice(1), ...scripts.slice(1), ...others];
    if (left.length > 0) toast(tn("new.left_out", left.length, { names: listed(left.slice(0, 3).map((file) => file.name)) }), "bad");
    this.changed();
  }

  /** @param {File} file @param {Role} role */
  begin(file, role) {
    const upload = new Upload({ file, name: file.name, size: file.size, role });
    upload.changed = () => this.changed();
    this.queue.add(upload);
    return upload;
  }

  /** Return the upload of the restored draft that this file belongs to, now with its file. @param {File} file @param {Role} role */
  matching(file, role) {
    const upload = this.uploads().find((each) => each.role === role && !each.file && each.name === file.name && each.size === file.size);
    if (upload) upload.file = file;
    return upload;
  }

  /** @param {File} file */
  setRecording(file) {
    const old = this.recording?.upload;
    const upload = this.matching(file, "recording");
    if (old && old !== upload) this.queue.remove(old);
    this.showRecording(upload ?? new Upload({ file, name: file.name, size: file.size, role: "recording" }));
    if (this.recording?.upload.state !== "done") this.queue.add(/** @type {RecordingCard} */ (this.recording).upload);
    this.suggest(stemOf(file.name));
  }

  /** @param {Upload} upload */
  showRecording(upload) {
    this.recording?.close();
    const card = new RecordingCard(upload, { remove: () => this.removeRecording(), retry: () => this.queue.add(upload) });
    this.recording = card;
    upload.changed = () => {
      card.update();
      this.changed();
    };
    fill(byId("recording"), card.element);
  }

  removeRecording() {
    if (!this.recording) return;
    this.queue.remove(this.recording.upload);
    this.recording.close();
    this.recording = null;
    this.changed();
    byId("recording-input").focus();
  }

  /** @param {File[]} files */
  addVideos(files) {
    const fresh = files.filter((file) => !this.videos.some(({ upload }) => upload.file && upload.name === file.name && upload.size === file.size));
    const taken = this.single ? fresh.slice(0, 1) : fresh;
    for (const file of taken) {
      const upload = this.matching(file, "video");
      if (this.single) for (const card of [...this.videos]) if (card.upload !== upload) this.removeVideo(card);
      if (upload) this.videos.find((card) => card.upload === upload)?.close();
      const old = this.videos.findIndex((card) => card.upload === upload);
      this.showVideo(upload ?? new Upload({ file, name: file.name, size: file.size, role: "video" }), old);
    }
    if (fresh.length > taken.length) toast(t("new.single.first"));
  }

  /** @param {Upload} upload @param {number} [place] of the card that this one replaces */
  showVideo(upload, place = -1) {
    const card = new VideoCard(upload, {
      remove: () => this.removeVideo(card),
      retry: () => this.queue.add(upload),
      changed: () => this.changed(),
    });
    upload.changed = () => {
      card.update();
      this.changed();
    };
    if (place >= 0) {
      byId("videos").insertBefore(card.element, byId("videos").children[place] ?? null);
      this.videos[place] = card;
    } else {
      byId("videos").append(card.element);
      this.videos.push(card);
    }
    if (upload.file && upload.state !== "done") this.queue.add(upload);
  }

  /** @param {VideoCard} card */
  removeVideo(card) {
    const place = this.videos.indexOf(card);
    this.queue.remove(card.upload);
    this.videos = this.videos.filter((other) => other !== card);
    card.close();
    this.changed();
    const next = this.videos[Math.min(place, this.videos.length - 1)]?.element.querySelector(".remove") ?? byId("videos-input");
    next.focus();
  }

  uploads() {
    return /** @type {Upload[]} */ ([this.recording?.upload, ...this.videos.map((card) => card.upload), this.script.upload].filter(Boolean));
  }

  isUploaded() {
    return this.uploads().every((upload) => upload.state === "done");
  }

  /** Return whether something is still being uploaded. */
  isMoving() {
    return this.uploads().some((upload) => ["waiting", "running", "retrying"].includes(upload.state));
  }

  async restore() {
    const status = await this.draft.restore().catch(() => null);
    if (!status) return;
    byId("inbox").value = String(status.inbox);
    for (const known of status.uploads) {
      const upload = new Upload({ file: null, name: known.name, size: known.length, role: known.role, id: known.id, stored: known.stored, offset: known.offset });
      if (known.role === "recording") this.showRecording(upload);
      else if (known.role === "video") this.showVideo(upload);
      else {
        upload.changed = () => this.changed();
        this.script.show(upload);
      }
    }
    if (this.recording) this.suggest(stemOf(this.recording.upload.name));
    const open = this.uploads().filter((upload) => upload.state === "missing").length;
    setText(byId("restored-text"), tn("restored.files", status.uploads.length));
    setText(byId("restored-hint"), open > 0 ? tn("restored.open", open) : t("restored.complete"));
    byId("restored").hidden = false;
  }

  async discard() {
    const uploads = this.uploads();
    for (const upload of uploads) upload.stopped.abort();
    await this.draft.discard();
    for (const card of this.videos) card.close();
    this.videos = [];
    this.recording?.close();
    this.recording = null;
    this.script.remove();
    byId("restored").hidden = true;
    this.suggest("");
    this.changed();
    byId("recording-input").focus();
  }

  /** Show what can be added. */
  showZones() {
    byId("recording-zone").hidden = this.recording !== null && this.recording.upload.state !== "missing";
    byId("recording-zone").classList.toggle("compact", this.recording !== null);
    byId("recording").hidden = this.recording === null;
    byId("videos-zone").classList.toggle("compact", this.videos.length > 0);
    byId("videos-zone").hidden = this.single && this.videos.some((card) => card.upload.state !== "missing");
    byId("videos-input").multiple = !this.single;
    setText(byId("videos-count"), this.videos.length > 1 ? tn("new.videos.count", this.videos.length) : "");
    byId("inbox").disabled = this.draft.id !== "";
    byId("inbox-hint").hidden = this.draft.id === "";
    this.script.update();
  }

  /** Return the chosen faces by the names that the server has given to the videos. @returns {Promise<Record<string, string>>} */
  async faces() {
    const chosen = this.videos.filter((card) => card.face);
    if (chosen.length === 0) return {};
    const status = await this.draft.status();
    const stored = new Map(status.uploads.map((/** @type {any} */ upload) => [upload.id, upload.stored]));
    return Object.fromEntries(chosen.map((card) => [stored.get(card.upload.id) ?? card.upload.name, card.face]));
  }
}
