// What the page has the daemon do beside saving, and a camera's settings with what changes them.

import { api, part } from "./api.js";
import { h, put, say } from "./dom.js";
import { texts } from "./texts.js";

/** Where it is said what came of an order. */
export const toldOf = () => h("p", { class: "told", role: "status", hidden: true });

/** @param {string} path below api/ @param {unknown} body @param {HTMLElement} told */
export async function order(path, body, told) {
  let bad = false;
  const detail = await api("POST", path, body).then((answer) => answer.detail, (error) => {
    bad = true;
    return error.message;
  });
  told.hidden = false;
  told.classList.toggle("bad", bad);
  say(told, detail);
}

export class Settings {
  /** @param {string} camera @param {boolean} edits */
  constructor(camera, edits) {
    this.camera = camera;
    this.edits = edits;
    this.told = toldOf();
    this.rows = h("tbody", {});
    /** @type {Map<string, (setting: any) => void>} by name, what shows a setting */
    this.shown = new Map();
    const columns = [texts.setting, texts.value, texts.from].map((text) => h("th", { scope: "col" }, text));
    const table = h("table", {}, h("thead", {}, h("tr", {}, columns)), this.rows);
    this.element = h("section", { class: "card settings", "aria-label": texts.settings }, h("h2", {}, texts.settings), table, this.told);
  }

  /** @param {Record<string, any>} settings by name */
  update(settings) {
    const names = Object.keys(settings);
    this.element.hidden = !names.length;
    if (names.join() !== [...this.shown.keys()].join()) {
      this.shown.clear();
      put(this.rows, names.map((name) => this.#row(name)));
    }
    for (const name of names) this.shown.get(name)?.(settings[name]);
  }

  /** @param {string} name */
  #row(name) {
    const origin = h("td", {});
    const { element, show } = !this.edits ? plain() : name === "enabled" ? this.#pause(name) : this.#field(name);
    this.shown.set(name, (setting) => {
      show(setting.value);
      say(origin, texts.origins[setting.origin] ?? setting.origin);
    });
    return h("tr", { "data-setting": name }, h("th", { scope: "row" }, name), h("td", {}, element), origin);
  }

  /** @param {string} name @param {unknown} value */
  #set(name, value) {
    return order(`cameras/${part(this.camera)}/set/${name}`, { value }, this.told);
  }

  /** @param {string} name */
  #pause(name) {
    let enabled = true;
    const element = h("button", { type: "button", onclick: () => this.#set(name, !enabled) });
    const show = (/** @type {any} */ value) => {
      enabled = value;
      say(element, value ? texts.pause : texts.resume);
    };
    return { element, show };
  }

  /** @param {string} name */
  #field(name) {
    const input = h("input", { type: "number", step: "any", min: 0, "aria-label": name, placeholder: texts.none });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#set(name, input.value === "" ? null : input.valueAsNumber);
    };
    const element = h("form", { onsubmit: submit }, input, h("button", { type: "submit", "aria-label": texts.setOf(name) }, texts.set));
    const show = (/** @type {any} */ value) => {
      if (document.activeElement !== input) input.value = value === null ? "" : String(value);
    };
    return { element, show };
  }
}

function plain() {
  const element = h("span", {});
  return { element, show: (/** @type {any} */ value) => say(element, String(value ?? texts.none)) };
}
