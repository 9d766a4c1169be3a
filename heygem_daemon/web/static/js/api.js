/** Call the HTTP interface. */

import { t } from "./i18n.js";

export const BASE = "/api/v1/";

/** An error of the HTTP interface: its stable code, a sentence and what to do. `code` is "network" where no answer came. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {string} [hint]
   */
  constructor(status, code, message, hint = "") {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/**
 * Return the JSON of an answer (null for an empty one). Raises ApiError; without a login it goes to the login screen.
 * @param {string} path below /api/v1/
 * @param {{method?: string, json?: unknown, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function api(path, { method, json, body, headers, signal } = {}) {
  const response = await request(path, {
    method: method ?? (json === undefined && body === undefined ? "GET" : "POST"),
    body: json === undefined ? body : JSON.stringify(json),
    headers: { Accept: "application/json", ...(json === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    signal,
  });
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * Return a successful answer as it is. Raises ApiError.
 * @param {string} path
 * @param {RequestInit} options
 */
export async function request(path, options) {
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch (failure) {
    if (options.signal?.aborted) throw failure;
    throw new ApiError(0, "network", t("live.unreachable"), t("live.unreachable.hint"));
  }
  if (response.ok) return response;
  throw await problem(response);
}

/** Return the error that an answer reports. @param {Response} response */
async function problem(response) {
  const found = await response.json().catch(() => ({}));
  if (found.code === "login_required") toLogin();
  return new ApiError(response.status, found.code ?? "internal", found.message ?? t("live.failed", { status: response.status }), found.hint ?? "");
}

/** Go to the login screen, and from there back to here. */
export function toLogin() {
  const here = location.pathname + location.search + location.hash;
  if (location.pathname !== "/login") location.assign(`/login?next=${encodeURIComponent(here)}`);
}
