/** The login. */

import { api } from "./api.js";
import { byId, setText } from "./dom.js";
import { sentences, t } from "./i18n.js";
import { ownAddress } from "./ownaddress.js";

/** @param {string} text */
function complain(text) {
  setText(byId("login-message"), text);
  byId("login-error").hidden = text === "";
}

/** @param {SubmitEvent} event */
async function logIn(event) {
  event.preventDefault();
  const name = byId("login-name");
  const password = byId("login-password");
  const empty = [name, password].find((input) => input.value === "");
  if (empty) {
    complain(t("login.empty"));
    empty.focus();
    return;
  }
  complain("");
  byId("login-button").disabled = true;
  try {
    await api("session", { json: { name: name.value, password: password.value } });
    location.replace(ownAddress(new URLSearchParams(location.search).get("next") ?? "/", location.origin));
  } catch (failure) {
    byId("login-button").disabled = false;
    complain(sentences(failure.message, failure.hint));
    password.select();
    password.focus();
  }
}

byId("login").addEventListener("submit", logIn);
