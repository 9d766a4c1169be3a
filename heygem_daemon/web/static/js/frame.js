/** What all screens have in common: state of the daemon, language, log out. */

import { api } from "./api.js";
import { byId, setText, toast } from "./dom.js";
import { has, t } from "./i18n.js";
import { subscribe } from "./live.js";

const YEAR = 365 * 24 * 3600;

function languageSwitch() {
  const button = byId("language-switch");
  button.addEventListener("click", () => {
    document.cookie = `lang=${button.dataset.language}; path=/; max-age=${YEAR}; SameSite=Lax`;
    location.reload();
  });
}

function userMenu() {
  const menu = document.getElementById("user-menu");
  if (!menu) return;
  document.addEventListener("click", (event) => {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute("open");
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.removeAttribute("open");
    menu.querySelector("summary")?.focus();
  });
  document.getElementById("log-out")?.addEventListener("click", logOut);
}

async function logOut() {
  try {
    await api("session", { method: "DELETE" });
    location.assign("/login");
  } catch (failure) {
    toast(failure.message, "bad");
  }
}

/** Show the daemon's state in the head. @param {{state: string, paused: boolean, queue?: any}} summary */
function showDaemon(summary) {
  const state = summary.paused && summary.state === "running" ? "paused" : summary.state;
  const known = has(`daemon.${state}`) ? state : "unknown";
  const link = byId("daemon-state");
  link.dataset.state = known;
  link.title = t(`daemon.${known}.title`);
  setText(byId("daemon-word"), t(`daemon.${known}`));
}

function daemonState() {
  if (!document.getElementById("daemon-state")) return;
  subscribe("daemon", showDaemon);
  subscribe("connection", (connected) => {
    byId("connection-note").hidden = connected;
    if (!connected) {
      byId("daemon-state").dataset.state = "unknown";
      setText(byId("daemon-word"), t("daemon.offline"));
    }
  });
}

languageSwitch();
userMenu();
daemonState();
