/** Build and change elements. Data becomes text nodes and attributes, never markup. */

import { t } from "./i18n.js";

/** @typedef {Node | string | number | false | null | undefined} Child */

/**
 * Make an element. `on…` attributes are listeners (`onclick`), `class`, `dataset` and properties that are booleans as one expects.
 * @param {string} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Element} element @param {(Child | Child[])[]} children */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what is in an element. @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Return the element of an id, which must be there. @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
}

/** Set the text of an element only where it changes, so that screen readers do not repeat it. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return an icon of static/icons.svg. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Let screen readers say something. @param {string} text */
export function announce(text) {
  setText(byId("announcer"), text);
}

/**
 * Show a note for some seconds.
 * @param {string} text
 * @param {"" | "good" | "bad"} [kind]
 */
export function toast(text, kind = "") {
  const close = h("button", { type: "button", class: "icon-button", "aria-label": t("action.close") }, icon("close"));
  const note = h("div", { class: `toast ${kind}` }, h("span", null, text), close);
  close.addEventListener("click", () => note.remove());
  byId("toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 12000 : 5000);
}

/**
 * Ask before something that cannot be taken back.
 * @param {{title: string, text?: string, confirm: string, dismiss?: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, confirm, dismiss = t("action.cancel"), danger }) {
  const yes = h("button", { type: "submit", value: "yes", class: `button ${danger ? "danger" : "primary"}` }, confirm);
  const no = h("button", { type: "submit", value: "", class: "button", autofocus: true }, dismiss);
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "dialog-title" },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), text && h("p", null, text), h("div", { class: "dialog-actions" }, no, yes)),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
