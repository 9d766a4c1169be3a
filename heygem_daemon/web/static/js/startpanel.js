/** The panel that starts a job: how far the uploads are, what is missing, what went wrong. */

import { ApiError } from "./api.js";
import { byId, fill, h, icon, setText } from "./dom.js";
import { sentences, t } from "./i18n.js";
import { progressText, setBar } from "./progress.js";

/** @typedef {import("./upload.js").Upload} Upload */

const FIELD_OF = {
  bad_name: "name-error",
  consent_missing: "consent-error",
  no_recording: "recording-error",
  no_videos: "videos-error",
  bad_option: "options-error",
};
/** Where the sentence of an error is shown. */

/** Show bytes, speed and time left of all uploads together. @param {Upload[]} uploads */
export function showOverall(uploads) {
  const open = uploads.filter((upload) => upload.state !== "done");
  byId("overall").hidden = open.length === 0;
  if (open.length === 0) return;
  const sum = (/** @type {(upload: Upload) => number} */ of) => uploads.reduce((total, upload) => total + of(upload), 0);
  const all = { offset: sum((upload) => upload.offset), size: sum((upload) => upload.size), speed: sum((upload) => upload.speed) };
  setBar(byId("overall-bar"), all.size ? all.offset / all.size : 0);
  const files = t("upload.files", { done: uploads.length - open.length, total: uploads.length });
  setText(byId("overall-text"), `${files} · ${progressText(all)}`);
}

/**
 * Show the button and what it waits for.
 * @param {{missing: string[], waits: boolean, armed: boolean, sending: boolean, trial: boolean}} state
 * missing: what is needed first, in sentences; waits: only the uploads are missing; armed: starts when they are finished
 */
export function showStart({ missing, waits, armed, sending, trial }) {
  byId("start").setAttribute("aria-disabled", String(missing.length > 0 || sending || armed));
  setText(byId("start"), t(startLabel({ waits, armed, sending, trial })));
  byId("disarm").hidden = !armed || sending;
  const hint = waits ? t(armed ? "new.armed.hint" : "new.start_later.hint") : t("new.ready");
  showMissing(missing.length > 0 ? missing : [hint]);
}

/** @param {{waits: boolean, armed: boolean, sending: boolean, trial: boolean}} state */
function startLabel({ waits, armed, sending, trial }) {
  if (sending) return "new.sending";
  if (armed) return "new.armed";
  if (waits) return "new.start_later";
  return trial ? "new.start_trial" : "new.start";
}

/** @param {string[]} needed */
function showMissing(needed) {
  const list = byId("missing");
  if (list.textContent !== needed.join("")) fill(list, needed.map((sentence) => h("li", null, sentence)));
}

/** Hide all errors. */
export function clearErrors() {
  byId("submit-error").hidden = true;
  byId("name").removeAttribute("aria-invalid");
  for (const id of Object.values(FIELD_OF)) byId(id).hidden = true;
}

/** Show the sentence of an error at the button, and where it belongs. @param {any} failure */
export function complain(failure) {
  const place = failure instanceof ApiError ? FIELD_OF[failure.code] : undefined;
  if (place) {
    if (place === "options-error") byId("more").open = true;
    if (place === "name-error") byId("name").setAttribute("aria-invalid", "true");
    setText(byId(place), sentences(failure.message, failure.hint));
    byId(place).hidden = false;
    byId(place).scrollIntoView({ block: "center" });
  }
  const words = h("p", null, h("strong", null, failure.message), failure.hint && h("span", null, failure.hint));
  fill(byId("submit-error"), icon("error"), words);
  byId("submit-error").hidden = false;
}
