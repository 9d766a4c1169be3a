/** The queue: what runs, what waits and why, and what has just finished. */

import { api } from "./api.js";
import { announce, byId, h, icon, setText, toast } from "./dom.js";
import { ago, t, tn } from "./i18n.js";
import { actionButtons, attempt } from "./jobactions.js";
import { arrange, isFinal, JobList } from "./joblist.js";
import { badge, happening, jobUrl, placeWords, progressBar, progressWords, setBadge, setProgress, setThumbnail, thumbnail } from "./jobviews.js";
import { subscribe } from "./live.js";

const FINISHED = 10;
const RELOAD_AFTER = 800;
const FINAL_STATES = ["succeeded", "partial", "failed", "rejected", "cancelled"];

const jobs = new JobList();
/** @type {Map<string, {element: HTMLElement, show: (entry: any) => void, shown: any}>} */
const rows = new Map();
const screen = byId("queue");
const isAdmin = screen.dataset.admin === "true";
let loaded = false;
/** @type {any} */
let daemon = null;
/** @type {number | undefined} */
let reloading;
let drawing = false;

/** Make the row of a job. @param {string} key */
function makeRow(key) {
  const entryOf = () => jobs.get(key);
  const image = thumbnail(entryOf().name);
  const state = badge(entryOf().state);
  const name = h("a", { class: "job-name" });
  const words = h("p", { class: "job-words" });
  const bar = progressBar(t("jobs.progress_of", { name: entryOf().name }));
  const numbers = h("span", { class: "job-numbers" });
  const position = h("span", { class: "job-place" });
  const meta = h("p", { class: "job-meta muted small" });
  const actions = actionButtons(entryOf);
  const element = h(
    "li",
    { class: "job-row" },
    image,
    h("div", { class: "job-main" }, h("div", { class: "job-title" }, h("h3", null, name), state, position), words, h("div", { class: "job-progress" }, bar, numbers), h("div", { class: "job-foot" }, meta, actions.element)),
  );
  const show = (/** @type {any} */ entry) => {
    element.dataset.job = entry.id;
    element.dataset.state = entry.state;
    name.href = jobUrl(entry);
    setText(name, entry.name);
    setBadge(state, entry.state);
    setThumbnail(image, entry.thumbnail);
    setText(words, happening(entry));
    words.hidden = !words.textContent || words.textContent === state.textContent;
    setProgress(bar, entry.state === "running" || (!isFinal(entry) && entry.percent) ? entry.percent : null);
    setText(numbers, progressWords(entry));
    setText(position, placeWords(entry));
    setText(meta, metaWords(entry));
    actions.show(entry);
  };
  return { element, show, shown: null };
}

/** @param {any} entry */
function metaWords(entry) {
  const moment = isFinal(entry) ? (entry.finished ?? entry.since) : (entry.dropped ?? entry.since);
  const when = t(isFinal(entry) ? "jobs.finished_ago" : "jobs.dropped_ago", { ago: ago(moment) });
  return [when, isAdmin && entry.owner, entry.engine, entry.warnings && tn("jobs.warnings", entry.warnings)].filter(Boolean).join(" · ");
}

/** @param {string} key @param {any} entry */
function row(key, entry) {
  let made = rows.get(key);
  if (!made) {
    made = makeRow(key);
    rows.set(key, made);
  }
  if (made.shown !== entry) made.show(entry);
  made.shown = entry;
  return made.element;
}

/** Bring "5 minutes ago" up to date. */
function tellTime() {
  for (const made of rows.values()) made.shown = null;
  draw();
}

/** Draw with the next frame, however many events came in between. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawNow();
  });
}

function drawNow() {
  const open = jobs.open();
  const finished = jobs.finished(FINISHED);
  arrange(byId("open-jobs"), open.map(([key, entry]) => row(key, entry)));
  arrange(byId("finished-jobs"), finished.map(([key, entry]) => row(key, entry)));
  const shown = new Set([...open, ...finished].map(([key]) => key));
  for (const key of [...rows.keys()]) if (!shown.has(key)) rows.delete(key);
  byId("empty").hidden = !loaded || open.length > 0;
  byId("loading").hidden = loaded;
  byId("finished").hidden = finished.length === 0;
  byId("retry-failed").hidden = !finished.some(([, entry]) => entry.actions.includes("retry"));
  drawSummary(open.map(([, entry]) => entry));
}

/** @param {any[]} open */
function drawSummary(open) {
  const counts = { running: 0, queued: 0, waiting: 0, settling: 0 };
  for (const { state } of open) counts[state === "interrupted" ? "queued" : state] += 1;
  const parts = Object.entries(counts).filter(([, n]) => n > 0).map(([state, n]) => tn(`queue.count.${state}`, n));
  const text = !loaded ? "" : parts.length ? parts.join(" · ") : t("queue.count.none");
  setText(byId("summary"), text);
  if (loaded) announce(text);
}

function drawDaemon() {
  const note = byId("daemon-note");
  const [text, kind] = daemonWords();
  note.hidden = !text;
  note.className = `notice ${kind}`;
  setText(byId("daemon-note-text"), text);
  if (!isAdmin || !daemon) return;
  byId("pause-all").hidden = daemon.paused;
  byId("resume-all").hidden = !daemon.paused;
  byId("new-job").classList.toggle("primary", !daemon.paused);
}

/** Return the one thing about the daemon that concerns whoever waits, and how grave it is. */
function daemonWords() {
  if (!daemon) return ["", ""];
  if (daemon.outputs === "offline") return [t("queue.daemon.outputs"), "bad"];
  if (["unreported", "silent", "stopped", "unknown", "starting", "stopping"].includes(daemon.state)) return [t(`queue.daemon.${daemon.state}`), daemon.state === "starting" ? "" : "warn"];
  if (daemon.breaker) return [daemon.breaker, "bad"];
  if (daemon.paused || daemon.state === "paused") return [t("queue.daemon.paused"), "warn"];
  if (daemon.disk && daemon.disk.ok === false) return [t("queue.daemon.disk"), "bad"];
  return ["", ""];
}

async function load() {
  try {
    const states = FINAL_STATES.map((state) => `state=${state}`).join("&");
    const [open, finished] = await Promise.all([api("jobs?state=open&limit=500"), api(`jobs?${states}&limit=${FINISHED}`)]);
    loaded = open.ready || open.jobs.length > 0;
    if (!open.ready) loadSoon();
    const fresh = [...open.jobs, ...finished.jobs];
    if (open.next) for (const entry of fresh) jobs.put(entry);
    else jobs.replace(fresh);
    draw();
  } catch (failure) {
    toast(failure.message, "bad");
  }
}

/** Load again soon: several jobs may end at once. */
function loadSoon() {
  clearTimeout(reloading);
  reloading = setTimeout(load, RELOAD_AFTER);
}

/** @param {any} entry */
function onJob(entry) {
  const wasOpen = jobs.get(jobs.put(entry));
  if (wasOpen && isFinal(entry)) loadSoon();
  draw();
}

/** @param {string} id @param {() => Promise<any>} ask */
function onClick(id, ask) {
  const button = document.getElementById(id);
  button?.addEventListener("click", async () => {
    /** @type {any} */ (button).disabled = true;
    await ask();
    /** @type {any} */ (button).disabled = false;
  });
}

async function retryFailed() {
  try {
    const { requested } = await api("jobs/retry-failed", { method: "POST" });
    toast(requested ? tn("queue.retried", requested) : t("queue.retried.none"), "good");
  } catch (failure) {
    toast(failure.message, "bad");
  }
}

byId("daemon-note").prepend(icon("warning"));
onClick("pause-all", () => attempt(() => api("queue/pause", { json: {} }), t("queue.paused")));
onClick("resume-all", () => attempt(() => api("queue/resume", { json: {} }), t("queue.resumed")));
onClick("retry-failed", retryFailed);
subscribe("open", (/** @type {boolean} */ again) => {
  if (again) load();
});
subscribe("job", onJob);
subscribe("gone", ({ id }) => {
  jobs.remove(id);
  draw();
  loadSoon();
});
subscribe("daemon", (summary) => {
  daemon = summary;
  drawDaemon();
});
load();
setInterval(tellTime, 30000);
