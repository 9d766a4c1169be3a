/** The clock of a result, and which frame of the source is shown at each of its frames. No page here: tests run it alone. */

/**
 * Return frames per second of an exact rate as status.json has it: "25", "24000/1001"; 25 where there is none.
 * @param {string | null | undefined} text
 */
export function rateOf(text) {
  const [above, below = "1"] = String(text ?? "").split("/");
  const rate = Number(above) / Number(below);
  return Number.isFinite(rate) && rate > 0 ? rate : 25;
}

/** Return the frame that is shown at a time. The margin is for times that a browser rounds down. @param {number} seconds @param {number} rate */
export function frameAt(seconds, rate) {
  return Math.max(0, Math.floor(seconds * rate + 1e-3));
}

/** Return a time in the middle of a frame: seeking to its very beginning may show the one before. @param {number} frame @param {number} rate */
export function timeOf(frame, rate) {
  return (frame + 0.5) / rate;
}

/**
 * Return the source frame at a frame of the result: 0, 1 .. n-1, n-2 .. 1, 0, 1 .., as media/reader.py plays it.
 * @param {number} position
 * @param {number} frames
 */
export function pingPong(position, frames) {
  if (frames < 2) return 0;
  const step = position % (2 * frames - 2);
  return Math.min(step, 2 * frames - 2 - step);
}

/** Return whether the source runs forwards at a frame of the result. @param {number} position @param {number} frames */
export function isForwards(position, frames) {
  return frames < 2 || position % (2 * frames - 2) < frames - 1;
}

/**
 * Return where the source stands when the result stands at `seconds`; both have the same rate.
 * @param {number} seconds
 * @param {number} rate
 * @param {number} sourceFrames Infinity while unknown
 * @returns {{time: number, frame: number, forwards: boolean}}
 */
export function sourceAt(seconds, rate, sourceFrames) {
  const position = frameAt(seconds, rate);
  if (position < sourceFrames - 1) return { time: seconds, frame: position, forwards: true };
  const frame = pingPong(position, sourceFrames);
  const forwards = isForwards(position, sourceFrames);
  const inside = Math.min(Math.max(seconds - position / rate, 0), 1 / rate);
  return { time: forwards ? frame / rate + inside : timeOf(frame, rate), frame, forwards };
}

/** Return how many frames a video of this length has, Infinity where that is unknown. @param {number} seconds @param {number} rate */
export function framesIn(seconds, rate) {
  return Number.isFinite(seconds) && seconds > 0 ? Math.max(1, Math.round(seconds * rate)) : Infinity;
}

/**
 * Return the time some frames away, inside the video.
 * @param {number} seconds
 * @param {number} frames
 * @param {number} rate
 * @param {number} duration
 */
export function stepped(seconds, frames, rate, duration) {
  const last = Math.max(0, framesIn(duration, rate) - 1);
  return timeOf(Math.min(Math.max(frameAt(seconds, rate) + frames, 0), Number.isFinite(last) ? last : 0), rate);
}
