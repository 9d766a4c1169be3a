/** The options of a new job: their choices in words, with the server's defaults, and what the user has chosen. */

import { byId, h } from "./dom.js";
import { has, locale, number, sentences, t } from "./i18n.js";

const QUALITIES = [12, 16, 20, 26];
/** Constant rate factors of x264 that are offered in words; 16 is the product's own default. */
const PRIORITIES = { low: -10, normal: 0, high: 10 };
const OWN_NUMBER = "number";
const TRIAL_SECONDS = 5;
const CHANNELS = ["left", "right", "mix"];
const FACES = ["largest", "left", "right", "center"];
const EXTRAS = ["zip", "explain", "label"];

/** @typedef {{inboxes: any[], engines: string[], defaults: Record<string, any>, languages: string[], highest_priority: number}} Options */

let faceStandard = "";

/** Fill the form. @param {Options} options */
export function showOptions({ engines, defaults, languages, highest_priority }) {
  choices("fit", ["audio", "video"], (value) => t(`fit.${value}`), defaults.fit);
  choices("face", FACES, faceName, defaults.face);
  faceStandard = faceName(defaults.face);
  choices("quality", QUALITIES, qualityWords, defaults.quality);
  choices("engine", engines, engineWords, defaults.engine);
  choices("channel", CHANNELS, (value) => t(`channel.${value}`), undefined, t("channel.auto"));
  const offered = Object.values(PRIORITIES).filter((each) => each <= highest_priority);
  choices("priority", [...offered, OWN_NUMBER], priorityWords, defaults.priority ?? PRIORITIES.normal);
  byId("priority-number").max = String(highest_priority);
  byId("priority").addEventListener("change", showPriorityNumber);
  for (const key of EXTRAS) showExtra(key, Boolean(defaults[key]));
  showLanguages(languages);
}

/**
 * Fill a select; its first choice leaves the option to the server.
 * @param {string} id
 * @param {(string | number)[]} values
 * @param {(value: any) => string} words
 * @param {unknown} standard the server's default
 * @param {string} [first] text of the first choice, where it is not that default
 */
function choices(id, values, words, standard, first) {
  const known = standard === undefined || standard === null ? "" : words(standard);
  const text = first ?? t("new.default", { value: known });
  const options = values.map((value) => h("option", { value }, words(value)));
  byId(id).replaceChildren(h("option", { value: "" }, text), ...options);
}

/** @param {string} value a word, or a number from the left */
function faceName(value) {
  return has(`face.${value}`) ? t(`face.${value}`) : t("face.number", { number: Number(value) + 1 });
}

/** @param {string} value */
function engineWords(value) {
  return has(`engine.${value}`) ? t(`engine.${value}`) : value;
}

/** Return a quality in words, with its number where it is none of those that are offered. @param {number} value */
function qualityWords(value) {
  return has(`quality.${value}`) ? t(`quality.${value}`) : t("quality.other", { value: number(value) });
}

/** @param {number | string} value */
function priorityWords(value) {
  const name = Object.entries(PRIORITIES).find(([, each]) => each === value)?.[0];
  if (name) return t(`priority.${name}`);
  return value === OWN_NUMBER ? t("priority.number") : number(Number(value));
}

function showPriorityNumber() {
  const own = byId("priority").value === OWN_NUMBER;
  byId("priority-number").hidden = !own;
  if (own) byId("priority-number").focus();
}

/** @param {string} key @param {boolean} standard */
function showExtra(key, standard) {
  const box = byId(key);
  box.checked = standard;
  box.dataset.standard = String(standard);
  byId(`${key}-hint`).textContent = sentences(t(`new.${key}.hint`), t(standard ? "new.default_on" : "new.default_off"));
}

/** @param {string[]} languages */
function showLanguages(languages) {
  const names = new Intl.DisplayNames([locale], { type: "language" });
  const named = languages.map((code) => ({ code, name: nameOf(names, code) }));
  named.sort((one, other) => one.name.localeCompare(other.name, locale));
  byId("language").append(...named.map(({ code, name }) => h("option", { value: code }, name)));
}

/** @param {Intl.DisplayNames} names @param {string} code */
function nameOf(names, code) {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

/** Return the options that the user has chosen, those of the server left out. */
export function chosenOptions() {
  const chosen = /** @type {Record<string, unknown>} */ ({});
  for (const key of ["fit", "face", "engine", "channel", "language"]) if (byId(key).value) chosen[key] = byId(key).value;
  for (const key of ["quality", "track"]) if (byId(key).value) chosen[key] = Number(byId(key).value);
  for (const key of EXTRAS) if (String(byId(key).checked) !== byId(key).dataset.standard) chosen[key] = byId(key).checked;
  const priority = byId("priority").value === OWN_NUMBER ? byId("priority-number").value : byId("priority").value;
  if (priority !== "") chosen.priority = Number(priority);
  if (byId("trial").checked) chosen.first_seconds = TRIAL_SECONDS;
  return chosen;
}

/** Return which face speaks by the options, in words. */
export function faceWords() {
  const select = byId("face");
  return select.value ? t(`face.${select.value}`) : faceStandard;
}

/** Return why an option cannot be used, "" where all can. */
export function optionProblem() {
  for (const id of ["priority-number", "track"]) {
    const input = byId(id);
    const bad = !input.hidden && !input.checkValidity();
    input.setAttribute("aria-invalid", String(bad));
    if (bad) return t(`new.invalid.${id}`);
  }
  return "";
}

/** Show the inboxes where there are several. @param {any[]} inboxes */
export function showInboxes(inboxes) {
  byId("inbox").replaceChildren(...inboxes.map((inbox) => h("option", { value: inbox.id, disabled: !inbox.online }, inboxWords(inbox))));
  const first = inboxes.find((inbox) => inbox.online);
  if (first) byId("inbox").value = String(first.id);
  byId("inbox-field").hidden = inboxes.length < 2;
}

/** @param {{name: string, online: boolean, paused: boolean}} inbox */
function inboxWords({ name, online, paused }) {
  if (!online) return t("inbox.offline", { name });
  return paused ? t("inbox.paused", { name }) : name;
}
