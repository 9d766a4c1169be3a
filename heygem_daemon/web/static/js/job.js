/** One job: what happens to it, every result beside its source, what was measured, and its log. */

import { api } from "./api.js";
import { announce, byId, fill, h, icon, setText } from "./dom.js";
import { locale, t } from "./i18n.js";
import { actionButtons } from "./jobactions.js";
import { ItemCard } from "./jobitem.js";
import { LogView } from "./joblog.js";
import { isFinal } from "./joblist.js";
import { badge, happening, placeWords, progressBar, progressWords, setBadge, setProgress } from "./jobviews.js";
import { subscribe } from "./live.js";
import { problemCard } from "./problem.js";

const REFRESH_AFTER = 700;
const UNKNOWN_FOR = 4000;
const TRY_AGAIN_AFTER = 1200;

const screen = byId("job");
const asked = screen.dataset.job;
const opened = Date.now();
/** @type {any} */
let detail = null;
/** @type {Map<string, ItemCard>} */
const cards = new Map();
/** @type {number | undefined} */
let refreshing;
let busy = false;

const state = badge("settling");
const bar = progressBar(t("jobs.progress"));
const words = h("p", { class: "job-words" });
const numbers = h("span", { class: "job-numbers" });
const place = h("span", { class: "job-place" });
const actions = actionButtons(() => detail.entry, { words: true });
const log = new LogView(() => detail?.entry.id ?? asked, () => Boolean(detail) && !isFinal(detail.entry));

byId("job-state").append(state, place);
byId("job-actions").append(actions.element);
byId("job-progress").append(words, h("div", { class: "job-progress" }, bar, numbers));
byId("job-log").append(log.element);

/** Fetch the job anew: one request at a time, so that no older answer comes last. */
async function refresh() {
  clearTimeout(refreshing);
  refreshing = undefined;
  if (busy) {
    refreshSoon();
    return;
  }
  busy = true;
  try {
    show(await api(`jobs/${encodeURIComponent(detail?.entry.id ?? asked)}`));
  } catch (failure) {
    if (failure.code === "not_found" && Date.now() - opened < UNKNOWN_FOR && !detail) refreshSoon(TRY_AGAIN_AFTER);
    else showFailure(failure);
  } finally {
    busy = false;
  }
}

/** @param {number} milliseconds */
function refreshSoon(milliseconds = REFRESH_AFTER) {
  refreshing ??= setTimeout(refresh, milliseconds);
}

/** @param {any} failure */
function showFailure(failure) {
  if (detail && failure.code !== "not_found") return;
  byId("loading").hidden = true;
  byId("job-body").hidden = true;
  byId("missing").hidden = false;
  setText(byId("missing-what"), failure.code === "not_found" ? t("job.missing") : failure.message);
  setText(byId("missing-hint"), failure.code === "not_found" ? t("job.missing.hint") : failure.hint);
}

/** @param {any} fresh */
function show(fresh) {
  const before = detail?.entry.state;
  detail = fresh;
  const { entry } = fresh;
  byId("loading").hidden = true;
  byId("missing").hidden = true;
  byId("job-body").hidden = false;
  document.title = `${entry.name} · heygem`;
  setText(byId("job-name"), entry.name);
  setBadge(state, entry.state);
  setText(place, placeWords(entry));
  setText(words, happening(entry));
  words.hidden = !words.textContent || (isFinal(entry) && saidBelow(fresh));
  setProgress(bar, isFinal(entry) ? null : entry.percent);
  setText(numbers, progressWords(entry));
  actions.show(entry);
  showDownloads();
  showProblems();
  showItems();
  showFacts();
  byId("arriving").hidden = entry.state !== "settling";
  if (before && before !== entry.state) announce(`${entry.name}: ${t(`state.${entry.state}`)}`);
  log.refresh();
}

/** Return whether the cards say already how the job ended. @param {any} fresh */
function saidBelow(fresh) {
  return Boolean(fresh.error) || (fresh.items.length === 1 && Boolean(fresh.items[0].error));
}

function showDownloads() {
  const { zip_url: zip, items } = detail;
  const done = items.filter((/** @type {any} */ item) => item.result_url);
  const element = byId("job-downloads");
  const wanted = `${zip}|${done.map((/** @type {any} */ item) => item.result_url)}`;
  if (element.dataset.shown === wanted) return;
  element.dataset.shown = wanted;
  const one = done.length === 1 && h("a", { class: "button primary", href: downloadUrl(done[0].result_url), download: "" }, icon("download"), t("job.download"));
  const all = zip && done.length > 0 && h("a", { class: done.length === 1 ? "button" : "button primary", href: zip, download: "" }, icon("download"), t("job.zip"));
  fill(element, one, all);
}

/** @param {string} address */
export function downloadUrl(address) {
  return `${address}${address.includes("?") ? "&" : "?"}download=1`;
}

function showProblems() {
  const { error, warnings, status } = detail;
  const originals = new Map((status?.warnings ?? []).map((/** @type {any} */ each) => [each.code, each.message]));
  fill(
    byId("job-problems"),
    error && problemCard(error, "error", status?.error?.message),
    warnings.map((/** @type {any} */ each) => problemCard(each, "warning", originals.get(each.code))),
  );
}

function showItems() {
  const byKey = new Map((detail.status?.items ?? []).map((/** @type {any} */ item) => [item.key, item]));
  const only = detail.items.length === 1;
  for (const item of detail.items) {
    const card = cards.get(item.key) ?? new ItemCard(only);
    if (!cards.has(item.key)) {
      cards.set(item.key, card);
      byId("job-items").append(card.element);
    }
    card.show(item, byKey.get(item.key) ?? {}, detail.fit);
  }
  if ([...cards.values()].some((card) => card.isOpen)) return;
  const all = [...cards.values()];
  const first = all.find((card) => card.item?.result_url) ?? (isFinal(detail.entry) ? all.find((card) => card.item?.error) : undefined);
  if (first && !screen.dataset.opened) {
    screen.dataset.opened = "yes";
    first.open();
  }
}

/** @param {string | null | undefined} moment */
function date(moment) {
  return moment ? new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(moment)) : "";
}

function showFacts() {
  const { entry, status } = detail;
  const items = status?.items ?? [];
  const times = status?.times ?? {};
  const licence = items.map((/** @type {any} */ item) => item.licence).find(Boolean);
  const facts = [
    ["engine", entry.engine],
    ["licence", licence],
    ["fit", detail.fit && t(`job.fit.${detail.fit}`)],
    ["priority", entry.priority || ""],
    ["owner", entry.owner],
    ["consent", status?.consent?.replace(/\d{4}-\d\d-\d\dT[\d:]+(?:Z|[+-]\d\d:\d\d)/, date)],
    ["dropped", date(times.dropped ?? entry.dropped)],
    ["started", date(times.started)],
    ["finished", date(times.finished ?? entry.finished)],
    ["worker", isFinal(entry) ? "" : status?.worker],
    ["inbox", entry.inbox],
    ["output", entry.output],
    ["id", entry.id],
  ].filter(([, value]) => value);
  const wanted = JSON.stringify(facts);
  const element = byId("job-facts");
  if (element.dataset.shown === wanted) return;
  element.dataset.shown = wanted;
  fill(element, facts.flatMap(([name, value]) => [h("dt", null, t(`job.fact.${name}`)), h("dd", null, value)]));
}

/** @param {any} entry */
function isThis(entry) {
  const known = detail?.entry;
  return entry.id === asked || entry.reference === asked || (known && (entry.id === known.id || (entry.reference && entry.reference === known.reference)));
}

subscribe("job", (entry) => {
  if (isThis(entry)) refreshSoon();
});
subscribe("gone", ({ id }) => {
  if (isThis({ id, reference: id })) refreshSoon();
});
subscribe("open", () => refreshSoon());
refresh();
