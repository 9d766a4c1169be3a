/** Errors and warnings as cards: a sentence, what to do, the code, and the daemon's own words where they say more. */

import { h, icon } from "./dom.js";

/**
 * @param {{code: string, message: string, hint?: string}} problem
 * @param {"error" | "warning"} kind
 * @param {string} [original] the sentence in the daemon's own language, with its details
 */
export function problemCard(problem, kind, original = "") {
  return h(
    "div",
    { class: `notice ${kind === "error" ? "bad" : "warn"} problem` },
    icon(kind),
    h(
      "div",
      null,
      h("p", { class: "problem-what" }, problem.message),
      problem.hint && h("p", null, problem.hint),
      original && !problem.message.includes(original) && h("p", { class: "small muted", lang: "en" }, original),
      h("p", { class: "small muted" }, h("code", null, problem.code)),
    ),
  );
}
