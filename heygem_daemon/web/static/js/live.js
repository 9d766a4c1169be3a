/**
 * What happens on the server, as it happens: one stream of events for the whole screen.
 *
 * subscribe("job" | "gone" | "daemon", fn) gets the data of each event. After every (re)connection the server reports the daemon and all open
 * jobs anew: subscribe("open", fn) is called before them with whether it is a reconnection, the moment to forget what was known. A hidden tab
 * hangs up, for browsers allow only six connections to a server, and connects again when it is looked at.
 */

import { BASE } from "./api.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10000;
const LOST_AFTER = 4000;
const HANG_UP_AFTER = 20000;
const EVENTS = ["job", "gone", "daemon"];

/** @type {Map<string, Set<(data: any) => void>>} */
const subscribers = new Map();

/** @type {EventSource | null} */
let source = null;
let wait = FIRST_WAIT;
let openings = 0;
/** @type {Map<string, number>} */
const timers = new Map();

/**
 * Call `fn` with the data of every event of this name. Returns a function that ends it.
 * @param {string} event
 * @param {(data: any) => void} fn
 */
export function subscribe(event, fn) {
  if (!subscribers.has(event)) subscribers.set(event, new Set());
  subscribers.get(event)?.add(fn);
  if (!source && !timers.has("connect")) later("connect", 0, connect);
  return () => subscribers.get(event)?.delete(fn);
}

/** @param {string} event @param {any} [data] */
function emit(event, data) {
  for (const fn of subscribers.get(event) ?? []) fn(data);
}

/** @param {string} name @param {number} milliseconds @param {() => void} fn */
function later(name, milliseconds, fn) {
  clearTimeout(timers.get(name));
  const run = () => {
    timers.delete(name);
    fn();
  };
  timers.set(name, setTimeout(run, milliseconds));
}

/** @param {string} name */
function never(name) {
  clearTimeout(timers.get(name));
  timers.delete(name);
}

function connect() {
  if (source || document.hidden) return;
  source = new EventSource(`${BASE}events`);
  source.addEventListener("open", opened);
  source.addEventListener("error", failed);
  for (const name of EVENTS) source.addEventListener(name, (event) => emit(name, JSON.parse(event.data)));
}

function opened() {
  wait = FIRST_WAIT;
  never("lost");
  openings += 1;
  emit("open", openings > 1);
  emit("connection", true);
}

function failed() {
  if (!timers.has("lost")) later("lost", LOST_AFTER, () => emit("connection", false));
  hangUp();
  later("connect", wait, connect);
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

function hangUp() {
  source?.close();
  source = null;
}

function visibilityChanged() {
  if (document.hidden) {
    later("hang-up", HANG_UP_AFTER, () => {
      never("lost");
      never("connect");
      hangUp();
    });
    return;
  }
  never("hang-up");
  wait = FIRST_WAIT;
  if (!source && subscribers.size > 0) connect();
}

document.addEventListener("visibilitychange", visibilityChanged);
window.addEventListener("online", () => {
  if (!source && subscribers.size > 0) connect();
});
window.addEventListener("pagehide", hangUp);
window.addEventListener("pageshow", (event) => {
  if (event.persisted && subscribers.size > 0) connect();
});
