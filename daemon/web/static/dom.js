// Elements, made without HTML text: nothing from outside can become markup.

/** @typedef {Node|string|number|null|undefined|false|any[]} Child a list may hold lists */
/** @typedef {Record<string, any>} Properties `on…`: a listener; `class`, `data-…`, `aria-…` and others: attributes */

/** @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Properties} [properties] @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]} */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** @template {keyof SVGElementTagNameMap} K
 * @param {K} tag @param {Properties} [properties] @param {...Child} children
 * @returns {SVGElementTagNameMap[K]} */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

/** @template {Element} T @param {T} element @param {Properties} properties @param {Child[]} children */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kept(children));
  return element;
}

/** @param {Child[]} children @returns {(Node|string)[]} */
function kept(children) {
  const result = /** @type {(Node|string)[]} */ ([]);
  for (const child of /** @type {Child[]} */ (children.flat(Infinity))) {
    if (child instanceof Node) result.push(child);
    else if (child || child === 0) result.push(String(child));
  }
  return result;
}

/** @param {Element} element @param {...Child} children */
export function put(element, ...children) {
  element.replaceChildren(...kept(children));
}

/** Sets a text only where it differs, so that a selection and a screen reader are left alone.
 * @param {Element} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A box with an answer. @param {string} title @param {Child[]} content @param {[string, string, string?][]} buttons
 * value, text and class of each; Escape answers "" @returns {Promise<string>} */
export function ask(title, content, buttons) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, title),
    h("div", { class: "content", tabindex: "0" }, content),
    h(
      "div",
      { class: "buttons" },
      buttons.map(([value, text, look]) =>
        h("button", { type: "button", class: look, "data-answer": value, onclick: () => dialog.close(value) }, text),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** Calls a function once in the next frame, however often it was asked for; not after the view that it belongs to has
 * ended. @param {() => void} work @param {AbortSignal} [signal] of the view */
export function once(work, signal) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      if (!signal?.aborted) work();
    }, 30);
  };
}

/** @type {Record<string, string>} paths of 24 by 24 */
const ICONS = {
  back: "M15 5l-7 7 7 7",
  select: "M6 3l12 9-6 1.5L9 20z",
  zone: "M5 7l9-3 6 8-5 8H6z",
  line: "M4 19L20 5M14 5h6v6",
  mask: "M4 6h16v12H4zM4 14l8-8M8 18L20 6M14 18l6-6",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 010 10h-4",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 000 10h4",
  snap: "M6 4v8a6 6 0 0012 0V4M6 8h4M14 8h4M10 4v8a2 2 0 004 0V4",
  freeze: "M9 5v14M15 5v14",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  remove: "M6 6l12 12M18 6L6 18",
  save: "M5 12l5 5L19 7",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  swap: "M7 4v14M4 15l3 4 3-4M17 20V6M14 9l3-4 3 4",
  copy: "M8 8h11v12H8zM5 16V4h11",
  paste: "M8 4h8v4H8zM8 6H5v15h14V6h-3M12 11v6M9 14h6",
  duplicate: "M8 8h12v12H8zM4 16V4h12M14 11v6M11 14h6",
  keys: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
};

/** @param {string} name */
export const icon = (name) =>
  s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
