/** The waveform of a recording: its peaks, and drawing them. */

import { api } from "./api.js";

const BARS = 400;
const RATE = 8000;
const LARGEST = { uncompressed: 64 * 1024 * 1024, compressed: 10 * 1024 * 1024 };
/** Bytes that the browser decodes in memory: ten minutes of either; longer ones are measured by the server. */

/** @typedef {{seconds: number, peaks: number[]}} Peaks */

/**
 * Return the peaks of a file that the browser can decode, or null.
 * @param {File} file
 * @returns {Promise<Peaks | null>}
 */
export async function peaksOfFile(file) {
  const limit = /\.(wav|wave|aiff?|aifc|au)$/i.test(file.name) ? LARGEST.uncompressed : LARGEST.compressed;
  if (file.size > limit) return null;
  try {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    return { seconds: audio.duration, peaks: largest(audio.getChannelData(0)) };
  } catch {
    return null;
  }
}

/** Return the peaks that the server has measured of a finished upload, or null. @param {string} upload @returns {Promise<Peaks | null>} */
export async function peaksOfUpload(upload) {
  return api(`uploads/${upload}/peaks`).catch(() => null);
}

/** @param {Float32Array} samples */
function largest(samples) {
  const peaks = new Array(BARS).fill(0);
  for (let index = 0; index < samples.length; index += 1) {
    const bar = Math.min(BARS - 1, Math.floor((index / samples.length) * BARS));
    const magnitude = Math.abs(samples[index]);
    if (magnitude > peaks[bar]) peaks[bar] = magnitude;
  }
  return peaks;
}

/**
 * Draw the peaks as bars around the middle; those before `played` (0-1) in the accent colour.
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} peaks
 * @param {number} played
 */
export function drawWaveform(canvas, peaks, played) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colours = [style.getPropertyValue("--accent"), style.getPropertyValue("--line-strong")];
  const count = Math.max(1, Math.floor(width / 4));
  const top = Math.max(...peaks, 0.05);
  for (let bar = 0; bar < count; bar += 1) {
    const from = Math.floor((bar / count) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((bar + 1) / count) * peaks.length));
    const peak = Math.max(0, ...peaks.slice(from, to)) / top;
    const length = Math.max(2, peak * (height - 4));
    context.fillStyle = bar / count < played ? colours[0] : colours[1];
    context.beginPath();
    context.roundRect(bar * 4, (height - length) / 2, 2.5, length, 1.25);
    context.fill();
  }
}
