/** What was made: a gallery of all finished jobs, searched by name, state, engine and date. The address keeps the search. */

import { api } from "./api.js";
import { announce, byId, fill, h, setText } from "./dom.js";
import { clock, t, tn, when } from "./i18n.js";
import { itemWords, badge, jobUrl, setThumbnail, thumbnail } from "./jobviews.js";

const PAGE = 48;
const TYPING = 250;
/** While the page reads the history for the first time there is more to come. */
const READING = 1500;
const FINISHED = ["succeeded", "partial", "failed", "rejected", "cancelled"];
const EXTRA = ["engine", "since", "until"];
const FIELDS = ["q", "state", ...EXTRA];

const form = byId("filters");
const gallery = byId("gallery");
let next = "";
let asked = 0;
/** @type {number | undefined} */
let typing;

/** Return what is searched for, by field. */
function filters() {
  /** @type {Record<string, string>} */
  const found = {};
  for (const name of FIELDS) {
    const value = form.elements[name].value.trim();
    if (value) found[name] = value;
  }
  return found;
}

/** Return the query of the interface. @param {Record<string, string>} found */
function query(found) {
  const wanted = new URLSearchParams({ limit: String(PAGE) });
  for (const state of found.state ? [found.state] : FINISHED) wanted.append("state", state);
  for (const name of ["q", "engine", "since", "until"]) if (found[name]) wanted.set(name, found[name]);
  return wanted;
}

/** Fetch and show; `more` adds the next page to what is there. @param {boolean} more */
async function search(more) {
  const mine = ++asked;
  const found = filters();
  const wanted = query(found);
  if (more) wanted.set("cursor", next);
  gallery.setAttribute("aria-busy", "true");
  try {
    const page = await api(`jobs?${wanted}`);
    if (mine === asked) show(page, more, Object.keys(found).length > 0, mine);
  } catch (failure) {
    if (mine === asked) showFailure(failure);
  } finally {
    if (mine === asked) gallery.removeAttribute("aria-busy");
  }
}

/** @param {any} page @param {boolean} more @param {boolean} filtered @param {number} mine */
function show(page, more, filtered, mine) {
  next = page.next ?? "";
  const cards = page.jobs.map(card);
  if (more) {
    gallery.append(...cards);
    cards[0]?.querySelector("a").focus({ preventScroll: true });
  } else {
    fill(gallery, cards);
  }
  byId("loading").hidden = page.ready;
  byId("more").hidden = !next;
  byId("failed").hidden = true;
  byId("empty").hidden = page.total > 0 || filtered || !page.ready;
  byId("nothing").hidden = page.total > 0 || !filtered || !page.ready;
  byId("clear").hidden = !filtered;
  const words = tn("history.found", page.total);
  setText(byId("summary"), words);
  announce(words);
  if (!page.ready) setTimeout(() => mine === asked && search(false), READING);
}

/** @param {any} failure */
function showFailure(failure) {
  byId("loading").hidden = true;
  byId("failed").hidden = false;
  setText(byId("failed-text"), [failure.message, failure.hint].filter(Boolean).join(" "));
}

/** @param {any} entry */
function card(entry) {
  const image = thumbnail(entry.name);
  setThumbnail(image, entry.thumbnail);
  const details = [when(entry.finished ?? entry.since), entry.seconds && clock(entry.seconds), itemWords(entry)];
  return h(
    "li",
    { class: "gallery-card" },
    image,
    h(
      "div",
      { class: "gallery-text" },
      h("h2", null, h("a", { href: jobUrl(entry) }, entry.name)),
      h("p", { class: "muted small" }, details.filter(Boolean).join(" · ")),
      h("p", { class: "gallery-badges" }, badge(entry.state), entry.warnings > 0 && h("span", { class: "badge fair" }, tn("jobs.warnings", entry.warnings))),
      entry.state !== "succeeded" && entry.why && entry.why !== t(`state.${entry.state}`) && h("p", { class: "small gallery-why" }, entry.why),
    ),
  );
}

function readAddress() {
  const address = new URLSearchParams(location.search);
  for (const name of FIELDS) form.elements[name].value = address.get(name) ?? "";
  if (EXTRA.some((name) => address.get(name))) unfold(true);
}

/** On a phone the rarer fields are folded away. @param {boolean} open */
function unfold(open) {
  form.dataset.unfolded = String(open);
  byId("more-filters").setAttribute("aria-expanded", String(open));
}

/** @param {boolean} [replace] */
function changed(replace = false) {
  const words = new URLSearchParams(filters()).toString();
  const address = words ? `?${words}` : location.pathname;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  search(false);
}

async function fillEngines() {
  const options = await api("options").catch(() => null);
  const select = form.elements.engine;
  for (const engine of options?.engines ?? []) select.append(h("option", { value: engine }, engine));
}

form.addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  clearTimeout(typing);
  changed(true);
});
form.elements.q.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => changed(true), TYPING);
});
for (const name of FIELDS.slice(1)) form.elements[name].addEventListener("change", () => changed());
byId("more-filters").addEventListener("click", () => unfold(form.dataset.unfolded !== "true"));
byId("more").addEventListener("click", () => search(true));
byId("try-again").addEventListener("click", () => search(false));
for (const id of ["clear", "clear-nothing"]) {
  byId(id).addEventListener("click", () => {
    for (const name of FIELDS) form.elements[name].value = "";
    changed();
    form.elements.q.focus();
  });
}
window.addEventListener("popstate", () => {
  readAddress();
  search(false);
});
fillEngines().then(() => {
  readAddress();
  search(false);
});
