// Logging in, by password or by the one-time link.

import { api, ApiError } from "./api.js";
import { h, put } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./main.js").Session} Session */

/** @param {string} hash @returns {string|null} the token of a login link */
export const tokenOf = (hash) => /^#token=([\w-]+)$/.exec(hash)?.[1] ?? null;

/** @param {HTMLElement} content @param {Session} session @param {string} problem that brought us here
 * @param {(session: Session) => void} done */
export function login(content, session, problem, done) {
  const field = h("input", { type: "password", name: "password", id: "password", autocomplete: "current-password", required: true });
  const told = h("p", { class: "mistake", role: "alert" }, problem);
  const button = h("button", { class: "main" }, texts.login);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      done(await api("POST", "session", { password: field.value }));
    } catch (error) {
      const wrong = error instanceof ApiError && error.answer.error === "wrong-password";
      put(told, wrong ? texts.wrongPassword : /** @type {Error} */ (error).message);
      field.select();
    } finally {
      button.disabled = false;
    }
  };
  const form = h(
    "form",
    { onsubmit: submit },
    h("label", { for: "password" }, texts.password),
    field,
    button,
  );
  content.className = "login";
  put(content, h("div", { class: "card" }, h("h1", {}, texts.login), told, session.passwords ? form : h("p", {}, texts.linkOnly)));
  if (session.passwords) field.focus();
}
