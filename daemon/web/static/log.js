// The daemon's log.

import { api } from "./api.js";
import { h, put } from "./dom.js";
import { clock } from "./format.js";
import { texts } from "./texts.js";

const EVERY = 2000; // milliseconds
const MOST = 300;

/** @param {import("./main.js").Context} context */
export function log({ content, signal }) {
  const told = h("p", { class: "dim" }, texts.logAbout);
  const lines = h("ol", { class: "log card", tabindex: "0", "aria-label": texts.log });
  put(content, h("h1", {}, texts.log), told, lines);
  let last = 0;
  let asks = false;
  const more = async () => {
    if (document.hidden || asks) return; // an answer that is late would come twice
    asks = true;
    try {
      const found = await api("GET", `log?after=${last}`);
      if (signal.aborted) return;
      const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 20;
      lines.append(...found.lines.map((/** @type {any} */ line) =>
        h("li", { class: line.level }, h("time", { datetime: line.time }, clock(line.time)), h("span", { class: "level" }, line.level), h("span", {}, line.text)),
      ));
      while (lines.children.length > MOST) lines.firstChild?.remove();
      last = found.last < last ? 0 : found.last; // less than before: ospreyd has been started again
      put(told, lines.children.length ? texts.logAbout : texts.noLog);
      if (atEnd) lines.scrollTop = lines.scrollHeight;
    } catch (error) {
      put(told, /** @type {Error} */ (error).message);
    } finally {
      asks = false;
    }
  };
  const timer = setInterval(more, EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
  more();
}
