/** What people do with jobs: cancel, hold, resume, retry, priority. The daemon takes it up within seconds; the screen follows its reports. */

import { api } from "./api.js";
import { confirmed, h, icon, toast } from "./dom.js";
import { t } from "./i18n.js";

const ICONS = { hold: "pause", resume: "play", retry: "retry", cancel: "close" };
const LOWEST = -100;
const HIGHEST = 100;

/** Return the address of a job in the interface. @param {{id: string}} entry */
function address(entry) {
  return `jobs/${encodeURIComponent(entry.id)}`;
}

/**
 * Do something with a job, after a question where it cannot be taken back. Returns whether it was asked for.
 * @param {any} entry
 * @param {string} action
 */
export async function act(entry, action) {
  if (action === "priority") return askPriority(entry);
  if (action === "cancel" && !(await sure(entry))) return false;
  return attempt(() => api(`${address(entry)}/${action}`, { method: "POST" }), t(`jobs.asked.${action}`, { name: entry.name }));
}

/** @param {any} entry */
function sure(entry) {
  const text = t(entry.items.done > 0 ? "jobs.cancel.some_done" : "jobs.cancel.text");
  return confirmed({ title: t("jobs.cancel.title", { name: entry.name }), text, confirm: t("jobs.cancel.yes"), dismiss: t("jobs.cancel.no"), danger: true });
}

/** Make a request and say what became of it. @param {() => Promise<any>} request @param {string} done */
export async function attempt(request, done) {
  try {
    await request();
    toast(done, "good");
    return true;
  } catch (failure) {
    toast([failure.message, failure.hint].filter(Boolean).join(" "), "bad");
    return false;
  }
}

/** Set the priority of a job. @param {any} entry @param {number} priority */
export function setPriority(entry, priority) {
  const wanted = Math.min(Math.max(priority, LOWEST), HIGHEST);
  const request = () => api(`${address(entry)}/priority`, { method: "PUT", json: { priority: wanted } });
  return attempt(request, t("jobs.asked.priority", { name: entry.name, n: wanted }));
}

/** Ask for a number. @param {any} entry @returns {Promise<boolean>} */
function askPriority(entry) {
  const number = h("input", { id: "priority", type: "number", min: LOWEST, max: HIGHEST, step: 1, required: true, value: entry.priority });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "priority-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "priority-title" }, t("jobs.priority.title", { name: entry.name })),
      h("div", { class: "field" }, h("label", { for: "priority" }, t("jobs.priority.label")), number, h("p", { class: "hint" }, t("jobs.priority.hint"))),
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "submit", value: "", class: "button", formnovalidate: true }, t("action.cancel")),
        h("button", { type: "submit", value: "yes", class: "button primary" }, t("jobs.priority.set")),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  number.select();
  // Enter in the field would press the first button, which closes.
  number.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (number.reportValidity()) dialog.close("yes");
  });
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" && setPriority(entry, Number(number.value)));
    });
  });
}

/**
 * Return the buttons of a job, and what brings them up to date: show(entry).
 * @param {() => any} entryOf returns the job as it is now
 * @param {{words?: boolean}} [options] words: with their words beside the icons
 */
export function actionButtons(entryOf, { words = false } = {}) {
  const buttons = new Map();
  for (const action of ["hold", "resume", "retry", "priority", "cancel"]) buttons.set(action, button(action, entryOf, words));
  const element = h("div", { class: words ? "row job-actions" : "job-actions" }, [...buttons.values()]);
  return { element, show: (/** @type {any} */ entry) => show(buttons, entry, words) };
}

/** @param {string} action @param {() => any} entryOf @param {boolean} words */
function button(action, entryOf, words) {
  const inside = action === "priority" ? h("span", { class: "priority-number" }) : icon(ICONS[action]);
  const element = h("button", { type: "button", class: words ? "button small" : "icon-button", dataset: { action } }, inside, words && t(`jobs.action.${action}`));
  let acting = false;
  // Not `disabled`: a dialog that closes gives the focus back to the button, and a disabled one cannot take it.
  element.addEventListener("click", async () => {
    if (acting) return;
    acting = true;
    await act(entryOf(), action);
    acting = false;
  });
  return element;
}

/** @param {Map<string, any>} buttons @param {any} entry @param {boolean} words */
function show(buttons, entry, words) {
  for (const [action, element] of buttons) {
    element.hidden = !entry.actions.includes(action);
    element.setAttribute("aria-busy", String(entry.requested.includes(action)));
    const label = t(`jobs.action.${action}.of`, { name: entry.name, n: entry.priority });
    if (element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
    element.title = words ? "" : t(`jobs.action.${action}`);
    if (action === "priority") element.querySelector(".priority-number").textContent = entry.priority > 0 ? `+${entry.priority}` : String(entry.priority).replace("-", "−");
  }
}
