/** The system: the daemon and its devices, disk, inboxes, what was made and what failed, and what `heygem check` finds. */

import { api } from "./api.js";
import { copyButton } from "./copying.js";
import { byId, fill, h, icon, setText } from "./dom.js";
import { ago, bytes, has, locale, number, t, tn, when } from "./i18n.js";
import { attempt } from "./jobactions.js";
import { subscribe } from "./live.js";
import { bars, lyingBars } from "./plot.js";

const EVERY = 15000;
const DAYS = 30;
const FAILURES = 8;
const KNOWN_DEVICE_FIELDS = new Set(["name", "worker", "state", "device", "models", "problem", "token", "pid"]);

const isAdmin = byId("system").dataset.admin === "true";
/** @type {any} */
let system = null;
/** @type {string[]} */
let engines = [];
/** @type {Map<string, string>} */
const shown = new Map();

async function load() {
  try {
    if (!engines.length) engines = (await api("options")).engines;
    system = await api("system");
    byId("loading").hidden = true;
    byId("failed").hidden = true;
    byId("system-body").hidden = false;
    show();
  } catch (failure) {
    byId("loading").hidden = true;
    byId("failed").hidden = Boolean(system);
    setText(byId("failed-text"), [failure.message, failure.hint].filter(Boolean).join(" "));
  }
}

function show() {
  showDaemon(system.daemon);
  whenChanged("inboxes", system.inboxes, showInboxes);
  whenChanged("devices", system.devices, showDevices);
  whenChanged("plots", [system.days, system.engines], showPlots);
  whenChanged("failures", system.failures, showFailures);
  fill(byId("versions"), [["daemon", system.daemon.version || "–"], ["page", system.page_version], ["engines", engines.join(", ")], ["jobs", number(system.jobs)]].filter(([, value]) => value).flatMap(([name, value]) => [h("dt", null, t(`system.version.${name}`)), h("dd", null, value)]));
}

/** Draw a part only where it changed: what is opened or focused in it stays so. @param {string} part @param {any} data @param {() => void} draw */
function whenChanged(part, data, draw) {
  const words = JSON.stringify(data);
  if (shown.get(part) === words) return;
  shown.set(part, words);
  draw();
}

// -- the daemon -------------------------------------------------------------------------------------------------------

/** @param {any} daemon */
function showDaemon(daemon) {
  const state = has(`daemon.${daemon.state}`) ? daemon.state : "unknown";
  const kind = { running: "good", paused: "warn", starting: "accent", stopping: "warn", stopped: "bad", unreported: "bad", silent: "bad", unknown: "warn" }[state];
  const element = byId("daemon-badge");
  element.className = `badge ${kind}`;
  setText(element, t(`daemon.${state}`));
  setText(byId("daemon-text"), [t(`daemon.${state}.title`), daemon.unwritable].filter(Boolean).join(" "));
  setText(byId("heartbeat"), daemon.heartbeat ? t("system.heartbeat", { ago: ago(daemon.heartbeat) }) : "");
  for (const name of ["running", "queued", "waiting"]) setText(byId(`count-${name}`), number(daemon.queue[name]));
  const breaker = byId("breaker");
  breaker.hidden = !daemon.breaker;
  setText(byId("breaker-text"), [daemon.breaker, daemon.until && t("system.until", { time: when(daemon.until) })].filter(Boolean).join(" "));
  showDisk(daemon.disk, system.disk_total);
}

/** @param {any} disk @param {number | null} total */
function showDisk(disk, total) {
  const card = byId("disk");
  card.hidden = !disk;
  if (!disk) return;
  const element = byId("disk-badge");
  element.className = `badge ${disk.ok ? "good" : "bad"}`;
  setText(element, t(disk.ok ? "system.disk.ok" : "system.disk.full"));
  const known = disk.free !== null && disk.free !== undefined;
  setText(byId("disk-text"), known ? t("system.disk.text", { free: bytes(disk.free), reserve: bytes(disk.reserve) }) : t("system.disk.unknown"));
  setText(byId("disk-path"), disk.path);
  // Filled from the left by what is used; work stops where it meets the reserve, which is at the right.
  const gauge = byId("disk-gauge");
  gauge.hidden = !known || !total;
  if (total) {
    gauge.querySelector(".gauge-used").style.width = `${Math.min(100, (100 * (total - (disk.free ?? 0))) / total)}%`;
    gauge.querySelector(".gauge-mark").style.left = `${100 - Math.min(100, (100 * disk.reserve) / total)}%`;
  }
  gauge.dataset.ok = String(disk.ok);
}

// -- inboxes and devices ----------------------------------------------------------------------------------------------

function showInboxes() {
  fill(byId("inboxes"), system.inboxes.map(inbox));
}

/** @param {any} each */
function inbox(each) {
  const [word, kind] = !each.online ? ["offline", "bad"] : each.paused ? ["paused", "warn"] : ["online", "good"];
  const pause = h("button", { type: "button", class: "button quiet small" }, t(each.paused ? "system.inbox.resume" : "system.inbox.pause"));
  pause.addEventListener("click", async () => {
    pause.disabled = true;
    await attempt(() => api(`queue/${each.paused ? "resume" : "pause"}`, { json: { inbox: each.id } }), t(each.paused ? "queue.resumed" : "queue.paused"));
    await load();
  });
  return h(
    "li",
    { class: "line" },
    h(
      "div",
      { class: "line-main" },
      h("p", null, h("code", null, each.path)),
      h("p", { class: "small muted" }, [each.reason, each.network && t("system.inbox.network")].filter(Boolean).join(" · ")),
      each.ignored.length > 0 && h("p", { class: "small muted" }, t("system.inbox.ignored", { names: ignoredNames(each) })),
    ),
    h("span", { class: `badge ${kind}` }, t(`system.inbox.${word}`)),
    isAdmin && each.online && pause,
  );
}

/** @param {any} each */
function ignoredNames(each) {
  const more = each.ignored_count > each.ignored.length ? ", …" : "";
  return each.ignored.join(", ") + more;
}

function showDevices() {
  fill(byId("devices"), system.devices.map(device));
  byId("no-devices").hidden = system.devices.length > 0;
}

/** @param {any} each */
function device(each) {
  const kind = { idle: "good", busy: "accent", starting: "accent", cooling: "bad", stopped: "bad" }[each.state] ?? "";
  const models = Object.entries(each.models ?? {});
  const more = Object.entries(each).filter(([name, value]) => !KNOWN_DEVICE_FIELDS.has(name) && ["string", "number"].includes(typeof value) && value !== "");
  return h(
    "li",
    { class: "card device" },
    h("div", { class: "device-head" }, h("h3", null, each.device || each.name), h("span", { class: `badge ${kind}` }, has(`system.device.${each.state}`) ? t(`system.device.${each.state}`) : each.state)),
    h("p", { class: "small muted" }, each.name),
    each.problem && h("p", { class: "small bad-text" }, each.problem),
    more.length > 0 && h("p", { class: "small muted" }, more.map(([name, value]) => `${name} ${value}`).join(" · ")),
    models.length > 0 &&
      h("details", { class: "disclosure" }, h("summary", { class: "small" }, tn("system.models", models.length)), h("ul", { class: "models small" }, models.map(([name, hash]) => h("li", null, h("span", null, name), h("code", { class: "muted", title: hash }, String(hash).slice(0, 12)))))),
  );
}

// -- plots ------------------------------------------------------------------------------------------------------------

/** Return the last days without gaps. */
function lastDays() {
  const known = new Map(system.days.map((/** @type {any} */ day) => [day.day, day]));
  const last = system.days.at(-1)?.day;
  const end = new Date(`${last && last > today() ? last : today()}T12:00:00`);
  return Array.from({ length: DAYS }, (_, index) => {
    const date = new Date(end);
    date.setDate(end.getDate() - (DAYS - 1 - index));
    const day = local(date);
    return { date, ...(known.get(day) ?? { day, succeeded: 0, failed: 0, video_seconds: 0, work_seconds: 0 }) };
  });
}

/** @param {Date} date */
function local(date) {
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

function today() {
  return local(new Date());
}

function showPlots() {
  const anything = system.days.length > 0;
  byId("no-plots").hidden = anything;
  byId("plots").hidden = !anything;
  if (!anything) return;
  const days = lastDays();
  const labels = days.map((day) => new Intl.DateTimeFormat(locale, { month: "numeric", day: "numeric" }).format(day.date));
  const base = { days: days.map((day) => day.day), labels };
  const whole = (/** @type {number} */ value) => number(value, value < 10 ? 1 : 0);
  fill(
    byId("plots"),
    bars({
      ...base,
      title: t("system.plot.results"),
      series: [
        { name: t("system.plot.succeeded"), kind: "good", values: days.map((day) => day.succeeded) },
        { name: t("system.plot.failed"), kind: "bad", values: days.map((day) => day.failed) },
      ],
      format: whole,
    }),
    bars({ ...base, title: t("system.plot.minutes"), series: [{ name: t("system.plot.minutes.short"), kind: "accent", values: days.map((day) => day.video_seconds / 60) }], format: whole }),
    bars({ ...base, title: t("system.plot.speed"), series: [{ name: t("system.plot.speed.short"), kind: "accent", values: days.map((day) => (day.work_seconds > 0 ? day.video_seconds / day.work_seconds : 0)) }], format: (value) => `${number(value, 2)}×` }),
    enginesPlot(),
  );
}

function enginesPlot() {
  const rows = Object.entries(system.engines).map(([label, value]) => ({ label, value: Number(value) }));
  rows.sort((a, b) => b.value - a.value);
  return rows.length > 0 && h("div", { class: "plot-figure" }, h("h3", null, t("system.plot.engines")), lyingBars(rows, "", (value) => number(value)));
}

function showFailures() {
  byId("failures-card").hidden = system.failures.length === 0;
  const rows = system.failures.slice(0, FAILURES).map((/** @type {any} */ each) => ({ label: each.message || each.code, below: each.code, value: each.count }));
  fill(byId("failures"), lyingBars(rows, "bad", (value) => number(value)));
}

// -- heygem check -----------------------------------------------------------------------------------------------------

async function check() {
  const button = byId("check-again");
  button.disabled = true;
  byId("findings").setAttribute("aria-busy", "true");
  setText(byId("check-summary"), t("system.check.running"));
  try {
    showFindings(await api("system/check"));
  } catch (failure) {
    setText(byId("check-summary"), [failure.message, failure.hint].filter(Boolean).join(" "));
  } finally {
    button.disabled = false;
    byId("findings").removeAttribute("aria-busy");
  }
}

const SEVERITIES = ["error", "warning", "note", "ok"];
const SEVERITY_ICONS = { error: "error", warning: "warning", note: "info", ok: "check" };

/** @param {any} report */
function showFindings(report) {
  const findings = [...report.findings].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  const open = findings.filter((each) => each.severity !== "ok");
  const grave = open.filter((each) => each.severity !== "note").length;
  const fine = findings.filter((each) => each.severity === "ok");
  setText(byId("check-summary"), [grave ? tn("system.check.open", grave) : t("system.check.fine"), t("system.check.time", { time: when(report.checked) }), !report.complete && t("system.check.partial")].filter(Boolean).join(" "));
  fill(
    byId("findings"),
    open.map(finding),
    fine.length > 0 && h("li", null, h("details", { class: "disclosure" }, h("summary", null, tn("system.check.ok", fine.length)), h("ul", { class: "findings" }, fine.map(finding)))),
  );
}

/** @param {any} each */
function finding(each) {
  return h(
    "li",
    { class: `finding ${each.severity}` },
    icon(SEVERITY_ICONS[each.severity]),
    h(
      "div",
      { class: "finding-words" },
      h("p", null, h("span", { class: "visually-hidden" }, `${t(`system.severity.${each.severity}`)}: `), each.what),
      each.fix && h("div", { class: "fix" }, h("code", null, each.fix), copyButton(() => each.fix, t("copy.command"))),
    ),
  );
}

byId("try-again").addEventListener("click", load);
document.getElementById("check-again")?.addEventListener("click", check);
subscribe("daemon", (daemon) => {
  if (!system) return;
  system.daemon = daemon;
  showDaemon(daemon);
});
load();
if (isAdmin) check();
setInterval(() => !document.hidden && load(), EVERY);
