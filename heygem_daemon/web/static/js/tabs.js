/** The tabs Batch and Single; the chosen one is in the address. */

import { byId } from "./dom.js";

const HASH = { batch: "#batch", single: "#single" };
const STEPS = ["ArrowLeft", "ArrowRight", "Home", "End"];

/** Let the tabs work; `changed` is called with each choice, the first one at once. @param {(single: boolean) => void} changed */
export function modeTabs(changed) {
  const tabs = { batch: byId("tab-batch"), single: byId("tab-single") };
  const show = () => {
    const single = location.hash === HASH.single;
    for (const [name, tab] of Object.entries(tabs)) {
      const selected = (name === "single") === single;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      if (selected) byId("new-panel").setAttribute("aria-labelledby", tab.id);
    }
    changed(single);
  };
  const choose = (/** @type {"batch" | "single"} */ name) => {
    history.replaceState(null, "", HASH[name]);
    show();
  };
  for (const name of /** @type {("batch" | "single")[]} */ (Object.keys(tabs))) {
    tabs[name].addEventListener("click", () => choose(name));
    tabs[name].addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (!STEPS.includes(event.key)) return;
      event.preventDefault();
      const next = name === "batch" ? "single" : "batch";
      choose(next);
      tabs[next].focus();
    });
  }
  window.addEventListener("hashchange", show);
  show();
}
