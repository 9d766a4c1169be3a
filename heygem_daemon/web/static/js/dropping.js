/** Drop zones: by drag and drop onto them or anywhere on the screen, by a click, or by keyboard. */

import { byId } from "./dom.js";
import { filesOfDrop, filesOfInput } from "./files.js";

/** @typedef {(found: {files: File[], folder: string}, zone: string) => void} Take */

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/**
 * Let a zone take files: `zone` is the first part of the ids of its elements.
 * @param {string} zone
 * @param {Take} take
 */
export function dropZone(zone, take) {
  const element = byId(`${zone}-zone`);
  const inputs = [byId(`${zone}-input`), document.getElementById(`${zone}-folder`)].filter(Boolean);
  for (const input of inputs) input.addEventListener("change", () => take(filesOfInput(input), zone));
  element.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (!(/** @type {Element} */ (event.target).closest("label, input"))) byId(`${zone}-input`).click();
  });
}

/**
 * Take files that are dropped anywhere; `zone` is "recording" or "videos" where they were dropped onto one of these cards, else "".
 * @param {Take} take
 */
export function dropAnywhere(take) {
  const veil = byId("drop-veil");
  let depth = 0;
  const show = (/** @type {boolean} */ on) => {
    veil.hidden = !on;
    document.body.classList.toggle("dragging", on);
  };
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", async (event) => {
    depth = 0;
    show(false);
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    const card = /** @type {Element} */ (event.target).closest("#recording-card, #videos-card");
    take(await filesOfDrop(event.dataTransfer), card ? card.id.replace("-card", "") : "");
  });
}
