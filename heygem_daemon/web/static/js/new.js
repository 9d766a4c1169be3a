/** The screen of a new job. */

import { api } from "./api.js";
import { byId } from "./dom.js";
import { dropAnywhere, dropZone } from "./dropping.js";
import { SCRIPT_SUFFIXES } from "./files.js";
import { t } from "./i18n.js";
import { Materials } from "./materials.js";
import { chosenOptions, optionProblem, showInboxes, showOptions } from "./options.js";
import { clearErrors, complain, showOverall, showStart } from "./startpanel.js";
import { modeTabs } from "./tabs.js";

class NewJob {
  constructor() {
    this.files = new Materials({ changed: () => this.update(), suggest: (name) => this.suggestName(name) });
    this.armed = false;
    this.sending = false;
    this.nameIsOurs = true;
  }

  async start() {
    this.listen();
    modeTabs((single) => this.showMode(single));
    try {
      const options = await api("options");
      this.showOptions(options);
      await this.files.start(options);
    } catch (failure) {
      complain(failure);
    }
    this.update();
  }

  /** @param {any} options */
  showOptions(options) {
    showOptions(options);
    showInboxes(options.inboxes);
    byId("recording-input").accept = ["audio/*", ...options.recording_suffixes].join(",");
    byId("videos-input").accept = ["video/*", "image/*", ...options.video_suffixes].join(",");
    byId("script-input").accept = SCRIPT_SUFFIXES.join(",");
    byId("consent-name-field").hidden = options.consent_names_user;
    byId("consent").required = options.require_consent;
  }

  listen() {
    const take = (/** @type {{files: File[], folder: string}} */ found, /** @type {string} */ zone) => {
      if (!this.sending) this.files.take(found, zone);
    };
    dropZone("recording", take);
    dropZone("videos", take);
    dropAnywhere(take);
    byId("script-input").addEventListener("change", (/** @type {any} */ event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) this.files.script.take(file);
    });
    byId("name").addEventListener("input", () => (this.nameIsOurs = byId("name").value === ""));
    byId("face").addEventListener("change", () => this.files.videos.forEach((card) => card.showVerdict()));
    byId("inbox").addEventListener("change", () => (this.files.draft.inbox = Number(byId("inbox").value)));
    this.listenToForm();
  }

  listenToForm() {
    byId("new-job").addEventListener("input", () => {
      clearErrors();
      this.update();
    });
    byId("new-job").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
    byId("disarm").addEventListener("click", () => this.arm(false));
    byId("discard").addEventListener("click", () => this.files.discard());
    window.addEventListener("beforeunload", (event) => {
      if (!this.sending && this.files.isMoving()) event.preventDefault();
    });
  }

  /** @param {boolean} single */
  showMode(single) {
    this.files.single = single;
    byId("new-job").classList.toggle("mode-single", single);
    this.update();
  }

  /** Fill in a name where the user has not written one. @param {string} name */
  suggestName(name) {
    if (this.nameIsOurs) byId("name").value = name;
  }

  update() {
    this.files.showZones();
    showOverall(this.files.uploads());
    this.showStart();
    if (this.armed && this.missing().length === 0 && this.files.isUploaded()) this.send();
  }

  /** Return what is still needed before the job can start, one sentence each. */
  missing() {
    if (!this.files.options) return [t("missing.options")];
    const uploads = this.files.uploads();
    return [
      !this.files.recording && t("missing.recording"),
      this.files.videos.length === 0 && t(this.files.single ? "missing.video" : "missing.videos"),
      this.files.single && this.files.videos.length > 1 && t("missing.single"),
      !byId("name").value.trim() && t("missing.name"),
      this.files.options.require_consent && !byId("consent").checked && t("missing.consent"),
      byId("consent").checked && !this.files.options.consent_names_user && !byId("consent-name").value.trim() && t("missing.consent_name"),
      uploads.some((upload) => upload.state === "missing") && t("missing.again"),
      uploads.some((upload) => upload.state === "failed") && t("missing.failed"),
      optionProblem(),
    ].filter(Boolean);
  }

  showStart() {
    const missing = this.missing();
    const waits = missing.length === 0 && !this.files.isUploaded();
    showStart({ missing, waits, armed: this.armed, sending: this.sending, trial: byId("trial").checked });
  }

  submit() {
    if (this.sending || this.armed) return;
    if (this.missing().length > 0) {
      byId("missing").classList.remove("attention");
      requestAnimationFrame(() => byId("missing").classList.add("attention"));
      this.firstGap()?.focus();
      return;
    }
    if (this.files.isUploaded()) this.send();
    else this.arm(true);
  }

  /** Return the control where the first thing is missing. */
  firstGap() {
    if (!this.files.recording) return byId("recording-input");
    if (this.files.videos.length === 0) return byId("videos-input");
    if (!byId("name").value.trim()) return byId("name");
    if (this.files.options?.require_consent && !byId("consent").checked) return byId("consent");
    if (byId("consent").checked && !byId("consent-name-field").hidden && !byId("consent-name").value.trim()) return byId("consent-name");
    return document.querySelector("[aria-invalid=true]");
  }

  /** @param {boolean} on */
  arm(on) {
    this.armed = on;
    this.update();
    if (!on) byId("start").focus();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    this.armed = false;
    clearErrors();
    this.showStart();
    try {
      const created = await api("jobs", { json: this.order(await this.files.faces()) });
      this.files.draft.forget();
      location.assign(`/jobs/${encodeURIComponent(created.id)}`);
    } catch (failure) {
      this.sending = false;
      complain(failure);
      this.update();
    }
  }

  /** Return the order of the job, as the HTTP interface takes it. @param {Record<string, string>} faces */
  order(faces) {
    const { draft, options, script } = this.files;
    const given = byId("consent").checked;
    return {
      name: byId("name").value.trim(),
      draft: draft.id,
      inbox: draft.inbox,
      script: script.text,
      options: { ...chosenOptions(), ...(Object.keys(faces).length > 0 ? { faces } : {}) },
      consent: given ? { given, by: options.consent_names_user ? "" : byId("consent-name").value.trim() } : undefined,
    };
  }
}

new NewJob().start();
