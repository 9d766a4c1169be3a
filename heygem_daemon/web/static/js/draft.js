/**
 * The draft that this tab uploads into. It is remembered in the browser, so that the same files can go on after a reload or a crash; a draft that
 * another tab is working on is left alone.
 */

import { api, ApiError } from "./api.js";

const KEY = "heygem.drafts";
const BEAT = 4000;
const ABANDONED = 12000;

/** @returns {Record<string, number>} draft -> when a tab last worked on it; 0: left */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {(drafts: Record<string, number>) => void} change */
function remember(change) {
  const drafts = remembered();
  change(drafts);
  try {
    localStorage.setItem(KEY, JSON.stringify(drafts));
  } catch {
    // Without storage an upload cannot go on after a reload.
  }
}

export class Draft {
  constructor() {
    this.id = "";
    this.inbox = 0;
    /** @type {Promise<string> | null} */
    this.opening = null;
    setInterval(() => this.touch(Date.now()), BEAT);
    window.addEventListener("pagehide", () => this.touch(0));
    window.addEventListener("pageshow", () => this.touch(Date.now()));
  }

  /** @param {number} time */
  touch(time) {
    if (this.id) remember((drafts) => (drafts[this.id] = time));
  }

  /** Return the draft, making it on the server where there is none. */
  open() {
    if (this.id) return Promise.resolve(this.id);
    this.opening ??= api("drafts", { json: { inbox: this.inbox } })
      .then((status) => {
        this.id = status.draft;
        this.touch(Date.now());
        return this.id;
      })
      .finally(() => (this.opening = null));
    return this.opening;
  }

  /** Return the status of the draft that was left here last, and work on it from now on; null where there is none with files. */
  async restore() {
    const drafts = Object.entries(remembered()).sort(([, one], [, other]) => other - one);
    for (const [id, touched] of drafts) {
      if (touched !== 0 && Date.now() - touched < ABANDONED) continue;
      const status = await api(`drafts/${id}`).catch((failure) => failure);
      if (status instanceof ApiError && status.status === 404) this.forget(id);
      else if (!(status instanceof Error) && status.uploads.length > 0) {
        this.id = status.draft;
        this.inbox = status.inbox;
        this.touch(Date.now());
        return status;
      }
    }
    return null;
  }

  /** Return what has arrived. */
  status() {
    return api(`drafts/${this.id}`);
  }

  /** @param {string} [id] */
  forget(id = this.id) {
    remember((drafts) => delete drafts[id]);
    if (id === this.id) this.id = "";
  }

  /** Delete the draft with all its files on the server. */
  async discard() {
    const id = this.id;
    this.forget();
    if (id) await api(`drafts/${id}`, { method: "DELETE" }).catch(() => {});
  }
}
