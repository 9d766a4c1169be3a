/** The face check of a video: stills taken in the browser, what the server finds on them, and the dialog to choose who speaks. */

import { api, ApiError } from "./api.js";
import { h, icon } from "./dom.js";
import { t, tn } from "./i18n.js";

const LOAD_TIMEOUT = 12000;
const SEEK_TIMEOUT = 8000;
const LONGEST_SIDE = 3840;
const LARGEST_STILL = 8 * 1024 * 1024;
const MOMENTS = [0.12, 0.45, 0.75];
/** Parts of the video where a still is taken, until one shows a face: many videos begin black or with a title. */
const AT_ONCE = 2;
const BUSY_WAIT = 1500;
const BUSY_ATTEMPTS = 20;

/** @typedef {{number: number, x: number, y: number, width: number, height: number, pixels: number, yaw: number, verdict: string}} Face */
/** @typedef {{verdict: "good" | "several" | "too_small" | "turned" | "none", faces: Face[], width: number, height: number, still_url?: string | null}} FaceCheck */
/** @typedef {{width: number, height: number, seconds: number, still: HTMLCanvasElement, check: FaceCheck | null}} Look */

/** A video or image that this browser cannot show. */
export class Unplayable extends Error {}

let running = 0;
/** @type {(() => void)[]} */
const queue = [];

/** Run `work` when fewer than a few others run: decoding many videos at once makes a browser stall. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
async function inTurn(work) {
  if (running >= AT_ONCE) await new Promise((resolve) => queue.push(() => resolve(undefined)));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    queue.shift()?.();
  }
}

/**
 * Show a video's first still and check its face. `seen` gets the size, length and still as soon as they are there.
 * Raises Unplayable; `check` is null where the server could not check.
 * @param {File} file
 * @param {(look: Look) => void} seen
 * @returns {Promise<Look>}
 */
export function lookAt(file, seen) {
  return inTurn(() => (file.type.startsWith("image/") ? lookAtImage(file, seen) : lookAtVideo(file, seen)));
}

/** @param {File} file @param {(look: Look) => void} seen */
async function lookAtImage(file, seen) {
  const image = await createImageBitmap(file).catch(() => {
    throw new Unplayable(file.name);
  });
  const still = drawn(image, image.width, image.height);
  const look = { width: image.width, height: image.height, seconds: 0, still, check: null };
  seen(look);
  return { ...look, check: await checkStill(still) };
}

/** @param {File} file @param {(look: Look) => void} seen */
async function lookAtVideo(file, seen) {
  const url = URL.createObjectURL(file);
  const video = h("video", { muted: true, playsinline: true, preload: "auto" });
  video.muted = true;
  try {
    await happened(video, "loadeddata", LOAD_TIMEOUT, () => (video.src = url));
    if (!video.videoWidth) throw new Unplayable(file.name);
    return await bestLook(video, seen);
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  }
}

/** @param {HTMLVideoElement} video @param {(look: Look) => void} seen @returns {Promise<Look>} */
async function bestLook(video, seen) {
  /** @type {Look | null} */
  let best = null;
  for (const moment of MOMENTS) {
    const seconds = Number.isFinite(video.duration) ? video.duration : 0;
    await happened(video, "seeked", SEEK_TIMEOUT, () => (video.currentTime = moment * Math.min(seconds, 600)));
    const still = drawn(video, video.videoWidth, video.videoHeight);
    const look = { width: video.videoWidth, height: video.videoHeight, seconds: video.duration, still, check: null };
    if (!best) seen(look);
    const checked = { ...look, check: await checkStill(still) };
    if (!best || (checked.check && checked.check.verdict !== "none")) best = checked;
    if (!checked.check || checked.check.verdict !== "none" || seconds < 1) break;
  }
  return /** @type {Look} */ (best);
}

/** @param {HTMLMediaElement} media @param {string} event @param {number} timeout @param {() => void} start @returns {Promise<void>} */
function happened(media, event, timeout, start) {
  return new Promise((resolve, reject) => {
    const end = (/** @type {() => void} */ settle) => {
      clearTimeout(timer);
      media.removeEventListener(event, good);
      media.removeEventListener("error", bad);
      settle();
    };
    const good = () => end(resolve);
    const bad = () => end(() => reject(new Unplayable(event)));
    const timer = setTimeout(bad, timeout);
    media.addEventListener(event, good);
    media.addEventListener("error", bad);
    start();
  });
}

/** @param {CanvasImageSource} source @param {number} width @param {number} height */
function drawn(source, width, height) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = h("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** @param {HTMLCanvasElement} still @returns {Promise<FaceCheck | null>} */
async function checkStill(still) {
  const blob = await new Promise((resolve) => still.toBlob(resolve, "image/jpeg", 0.9));
  if (!blob || blob.size > LARGEST_STILL) return null;
  return patiently(() => api("faces", { body: blob, headers: { "Content-Type": "image/jpeg" } }));
}

/** Return what the server finds in a finished upload, or null. @param {string} upload @returns {Promise<FaceCheck | null>} */
export function checkUpload(upload) {
  return inTurn(() => patiently(() => api(`uploads/${upload}/faces`)));
}

/** @param {() => Promise<FaceCheck>} ask @returns {Promise<FaceCheck | null>} */
async function patiently(ask) {
  for (let attempt = 0; attempt < BUSY_ATTEMPTS; attempt += 1) {
    try {
      return await ask();
    } catch (failure) {
      if (!(failure instanceof ApiError) || failure.status !== 503) return null;
      await new Promise((resolve) => setTimeout(resolve, BUSY_WAIT));
    }
  }
  return null;
}

/** Return the verdict of one face in words. @param {Face} face */
function described(face) {
  const size = t("faces.pixels", { pixels: Math.round(face.pixels) });
  return `${t(`faces.verdict.${face.verdict}`)} · ${size}`;
}

/**
 * Let the user choose the face that speaks. Returns its number, "" for the choice of the options, or null where nothing was chosen.
 * @param {{name: string, check: FaceCheck, still: string, chosen: string}} what still: address of the image
 * @returns {Promise<string | null>}
 */
export function chooseFace({ name, check, still, chosen }) {
  const dialog = h("dialog", { class: "wide faces-dialog", "aria-labelledby": "faces-title" });
  const answer = (/** @type {string} */ value) => dialog.close(`chosen:${value}`);
  const image = h("img", { src: still, alt: t("faces.still", { name }) });
  const stage = h("div", { class: "faces-stage" }, image, check.faces.map((face) => faceButton(face, chosen, answer)));
  dialog.append(
    h("div", { class: "faces-head" }, h("h2", { id: "faces-title" }, t("faces.title")), closeButton(dialog)),
    h("p", { class: "muted ellipsis", title: name }, name),
    h("p", { class: "muted small" }, tn("faces.explain", check.faces.length)),
    stage,
    h("ul", { class: "faces-list" }, check.faces.map((face) => h("li", null, `${face.number + 1}. ${described(face)}`))),
    h("div", { class: "dialog-actions" }, h("button", { type: "button", class: "button", onclick: () => answer("") }, t("faces.automatic"))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue.startsWith("chosen:") ? dialog.returnValue.slice(7) : null);
    });
  });
}

/** @param {HTMLDialogElement} dialog */
function closeButton(dialog) {
  return h("button", { type: "button", class: "icon-button", "aria-label": t("action.close"), onclick: () => dialog.close() }, icon("close"));
}

/** @param {Face} face @param {string} chosen @param {(value: string) => void} answer */
function faceButton(face, chosen, answer) {
  const isChosen = chosen === String(face.number);
  const button = h(
    "button",
    {
      type: "button",
      class: "face-button",
      "aria-pressed": String(isChosen),
      "aria-label": t("faces.choose", { number: face.number + 1, verdict: described(face) }),
      title: described(face),
      autofocus: isChosen || (chosen === "" && face.number === 0),
      onclick: () => answer(String(face.number)),
    },
    h("span", { class: "face-number" }, face.number + 1),
  );
  const place = { left: face.x, top: face.y, width: face.width, height: face.height };
  for (const [side, value] of Object.entries(place)) button.style[side] = `${value * 100}%`;
  return button;
}
