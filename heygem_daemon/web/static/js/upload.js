/** Resumable uploads by tus 1.0.0 (https://tus.io/protocols/resumable-upload): chunks with offsets that go on after a cut. */

import { ApiError, BASE, request } from "./api.js";
import { t } from "./i18n.js";

const CHUNK = 8 * 1024 * 1024;
const PARALLEL = 3;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;
const SPEED_WINDOW = 5000;
const TUS = { "Tus-Resumable": "1.0.0" };

/** Statuses after which the same request may succeed: no answer, an offset to ask for again, a lock, too many requests, a server or share that is away. */
const PASSING = new Set([0, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504]);

/** @typedef {"recording" | "video" | "script"} Role */
/** @typedef {"waiting" | "running" | "retrying" | "done" | "failed" | "missing"} UploadState missing: its file has to be chosen again */

/** One file on its way. `changed` is called after every change. */
export class Upload {
  /** @param {{file: File | null, name: string, size: number, role: Role, id?: string, stored?: string, offset?: number}} what */
  constructor({ file, name, size, role, id = "", stored = "", offset = 0 }) {
    this.file = file;
    this.name = name;
    this.size = size;
    this.role = role;
    this.id = id;
    this.stored = stored;
    this.offset = offset;
    this.error = /** @type {ApiError | null} */ (null);
    this.changed = () => {};
    this.stopped = new AbortController();
    /** @type {{time: number, offset: number}[]} */
    this.samples = [];
    /** @type {UploadState} */
    this.state = id && offset === size ? "done" : file ? "waiting" : "missing";
  }

  /** Bytes a second over the last seconds; 0 where nothing is known. */
  get speed() {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.time - first.time < 300 || this.state !== "running") return 0;
    return ((last.offset - first.offset) / (last.time - first.time)) * 1000;
  }

  /** @param {number} offset */
  moved(offset) {
    const now = performance.now();
    this.offset = offset;
    this.samples.push({ time: now, offset });
    while (this.samples.length > 2 && now - this.samples[0].time > SPEED_WINDOW) this.samples.shift();
    this.changed();
  }

  /** @param {UploadState} state @param {ApiError | null} [error] */
  become(state, error = null) {
    this.state = state;
    this.error = error;
    if (state !== "running") this.samples = [];
    this.changed();
  }
}

/** Sends uploads, a few at a time, in the order in which they were added. */
export class UploadQueue {
  /** @param {() => Promise<string>} draft returns the draft that the uploads belong to, making it where there is none */
  constructor(draft) {
    this.draft = draft;
    /** @type {Upload[]} */
    this.waiting = [];
    this.running = 0;
  }

  /** @param {Upload} upload */
  add(upload) {
    upload.stopped = new AbortController();
    upload.become("waiting");
    if (upload.role === "video") this.waiting.push(upload);
    else this.waiting.unshift(upload);
    this.next();
  }

  /** Stop an upload and delete what the server has of it. @param {Upload} upload */
  async remove(upload) {
    upload.stopped.abort();
    this.waiting = this.waiting.filter((other) => other !== upload);
    if (upload.id) await discard(upload);
  }

  next() {
    while (this.running < PARALLEL && this.waiting.length > 0) {
      const upload = /** @type {Upload} */ (this.waiting.shift());
      this.running += 1;
      this.send(upload).finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  /** Send one file to its end, going on after every failure that may pass. @param {Upload} upload */
  async send(upload) {
    let wait = FIRST_WAIT;
    const signal = upload.stopped.signal;
    while (!signal.aborted) {
      const before = upload.offset;
      try {
        await this.attempt(upload);
        upload.become("done");
        return;
      } catch (failure) {
        if (signal.aborted) return;
        const problem = failure instanceof ApiError ? failure : new ApiError(0, "network", String(failure));
        if (!PASSING.has(problem.status)) {
          upload.become("failed", problem);
          return;
        }
        wait = upload.offset > before ? FIRST_WAIT : Math.min(wait * 2, LONGEST_WAIT);
        upload.become("retrying", problem);
        await pause(wait, signal);
      }
    }
  }

  /** @param {Upload} upload */
  async attempt(upload) {
    upload.become("running");
    if (upload.id) await resume(upload);
    if (!upload.id) await create(upload, await this.draft());
    while (upload.offset < upload.size && !upload.stopped.signal.aborted) await sendChunk(upload);
  }
}

/** @param {Upload} upload @param {string} draft */
async function create(upload, draft) {
  const metadata = { draft, name: upload.name, role: upload.role };
  const response = await request("uploads", {
    method: "POST",
    headers: { ...TUS, "Upload-Length": String(upload.size), "Upload-Metadata": encoded(metadata) },
  });
  const location = response.headers.get("Location") ?? "";
  upload.id = decodeURIComponent(new URL(location, window.location.href).pathname.split("/").pop() ?? "");
  if (upload.stopped.signal.aborted) await discard(upload);
  upload.moved(0);
}

/** Delete what the server has of an upload; a rest of it would keep the draft from becoming a job. @param {Upload} upload */
async function discard(upload) {
  await request(`uploads/${upload.id}`, { method: "DELETE", headers: TUS }).catch(() => {});
}

/** Ask how far an upload has come; one that is gone begins anew. @param {Upload} upload */
async function resume(upload) {
  try {
    const response = await request(`uploads/${upload.id}`, { method: "HEAD", headers: TUS, signal: upload.stopped.signal });
    upload.samples = [];
    upload.moved(Number(response.headers.get("Upload-Offset")));
  } catch (failure) {
    if (!(failure instanceof ApiError) || ![404, 410].includes(failure.status)) throw failure;
    upload.id = "";
    upload.offset = 0;
  }
}

/** Send the next chunk. XMLHttpRequest, as fetch does not report how much it has sent. @param {Upload} upload */
function sendChunk(upload) {
  const start = upload.offset;
  const chunk = /** @type {File} */ (upload.file).slice(start, start + CHUNK);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("PATCH", `${BASE}uploads/${upload.id}`);
    call.setRequestHeader("Tus-Resumable", "1.0.0");
    call.setRequestHeader("Upload-Offset", String(start));
    call.setRequestHeader("Content-Type", "application/offset+octet-stream");
    call.upload.onprogress = (event) => upload.moved(start + Math.min(event.loaded, chunk.size));
    call.onload = () => {
      if (call.status !== 204 && call.status !== 200) return reject(problemOf(call));
      upload.moved(Number(call.getResponseHeader("Upload-Offset") ?? start + chunk.size));
      return resolve(undefined);
    };
    call.onerror = () => reject(new ApiError(0, "network", t("live.unreachable"), t("live.unreachable.hint")));
    call.onabort = () => reject(new ApiError(0, "aborted", ""));
    upload.stopped.signal.addEventListener("abort", () => call.abort(), { once: true });
    call.send(chunk);
  });
}

/** @param {XMLHttpRequest} call */
function problemOf(call) {
  let found = {};
  try {
    found = JSON.parse(call.responseText);
  } catch {
    // A proxy in front may answer with a page of its own.
  }
  return new ApiError(call.status, found.code ?? "internal", found.message ?? t("live.failed", { status: call.status }), found.hint ?? "");
}

/** @param {Record<string, string>} metadata */
function encoded(metadata) {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`)
    .join(",");
}

/** Wait, but no longer than until the network is back. @param {number} milliseconds @param {AbortSignal} signal */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      window.removeEventListener("online", end);
      resolve(undefined);
    };
    const timer = setTimeout(end, milliseconds);
    window.addEventListener("online", end);
    signal.addEventListener("abort", end, { once: true });
  });
}
