/** Copy a text. Browsers allow it to secure origins only; elsewhere a selection does it. */

import { h, icon, toast } from "./dom.js";
import { t } from "./i18n.js";

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true", tabindex: -1 });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

/** Return a button that copies what `textOf` returns. @param {() => string} textOf @param {string} label */
export function copyButton(textOf, label) {
  const button = h("button", { type: "button", class: "icon-button copy", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async () => {
    const copied = await copy(textOf()).catch(() => false);
    toast(t(copied ? "copy.done" : "copy.failed"), copied ? "good" : "bad");
  });
  return button;
}
