// Requests to the web process.

import { texts } from "./texts.js";

export class ApiError extends Error {
  /** @param {number} status @param {Record<string, any>} answer */
  constructor(status, answer) {
    super(answer.detail ?? `${status}`);
    this.status = status;
    this.answer = answer;
  }
}

/** @type {() => void} what to do when nobody is logged in any more */
let whenLoggedOut = () => {};
/** @param {() => void} what */
export const onLoggedOut = (what) => {
  whenLoggedOut = what;
};

/** Raises ApiError for every answer that is none, also where the web process does not answer.
 * @param {string} method @param {string} path below api/ @param {unknown} [body] @param {Record<string, string>} [headers]
 * @returns {Promise<any>} */
export async function api(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError(0, { error: "no-answer", detail: texts.noAnswer(0) });
  }
  const text = await response.text();
  const answer = text && response.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : {};
  if (response.ok) return answer;
  if (!answer.error) throw new ApiError(response.status, { error: "no-answer", detail: texts.noAnswer(response.status) });
  if (response.status === 401 && answer.error === "not-logged-in") whenLoggedOut();
  throw new ApiError(response.status, answer);
}

/** @param {string} name of a camera, model or setting */
export const part = (name) => encodeURIComponent(name);
