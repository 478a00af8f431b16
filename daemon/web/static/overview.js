// All cameras at a glance, and what the device says of itself.

import { part } from "./api.js";
import { ask, h, once, put, say } from "./dom.js";
import { clock, counted, number } from "./format.js";
import { order, toldOf } from "./orders.js";
import { boxes } from "./overlay.js";
import { Picture } from "./picture.js";
import { texts } from "./texts.js";

/** @typedef {import("./main.js").Context} Context */
const WISH = { width: 480, fps: 2, edited: true };

/** @param {string} state */
export const chip = (state) => h("span", { class: `chip ${state}` }, texts.states[state] ?? state);

/** @param {Context} context */
export function overview(context) {
  const { content, store, signal } = context;
  const device = h("section", { class: "card device", "aria-label": texts.device });
  const grid = h("section", { class: "tiles", "aria-label": texts.overview });
  const came = toldOf();
  put(content, h("h1", { class: "sr" }, texts.overview), device, came, grid);
  /** @type {Map<string, {element: HTMLElement, update: () => void, ends: AbortController}>} */
  const tiles = new Map();
  let told = false; // whether the device's part is up to date
  const update = () => {
    if (!told) again(device, describe(context, came));
    told = true;
    for (const [name, tile] of tiles) {
      if (store.names.includes(name)) continue;
      tile.ends.abort();
      tile.element.remove();
      tiles.delete(name);
    }
    for (const name of store.names) {
      if (!tiles.has(name)) tiles.set(name, tileOf(context, name));
      tiles.get(name)?.update();
    }
    const order = store.names.map((name) => /** @type {HTMLElement} */ (tiles.get(name)?.element));
    if (order.some((element, i) => grid.children[i] !== element)) put(grid, order);
  };
  const soon = once(update, signal);
  store.on((kind) => {
    if (["info", "broker", "daemon", "live"].includes(kind)) told = false;
    soon();
  }, signal);
  signal.addEventListener("abort", () => tiles.forEach((tile) => tile.ends.abort()));
  update();
}

/** Puts other content in, and the focus where it was. @param {HTMLElement} element @param {any[]} children */
function again(element, children) {
  const { activeElement } = document;
  const had = activeElement && element.contains(activeElement) ? activeElement.id : "";
  put(element, ...children);
  if (had) document.getElementById(had)?.focus({ preventScroll: true });
}

/** @param {Context} context @param {HTMLElement} came where it is said what came of an order */
function describe({ store, session, edits }, came) {
  const { info } = store;
  if (!info) return [h("p", { class: "dim" }, store.daemon?.detail || texts.waiting)];
  const item = (/** @type {string} */ name, /** @type {any[]} */ ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
  const errors = /** @type {string[]|null} */ (info.configuration.errors);
  const models = Object.entries(/** @type {Record<string, any>} */ (info.models));
  return [
    h(
      "dl",
      { class: "facts" },
      item(texts.device, h("strong", {}, info.device), ` ospreyd ${info.version ?? session.version ?? ""}`),
      item(texts.backend, h("strong", {}, info.backend), info.gpu ? ` ${info.gpu}` : "", h("span", { class: "dim" }, ` ${info.backend_reason}`)),
      store.broker && item(texts.broker, store.broker.connected ? texts.brokerThere : h("span", { class: "bad" }, `${texts.away} ${texts.since(clock(store.broker.since))}`)),
      item(texts.configuration, texts.loaded(clock(info.configuration.loaded_at)), edits && button("reload", texts.reload, texts.reload, () => order("reload", {}, came))),
      models.map(([name, model]) => item(`${texts.model} ${name}`, chip(model.state), ` ${modelText(model)}`, edits && isBuilt(info, model) && button(`build-${name}`, texts.build, texts.buildOf(name), () => build(name, came)))),
    ),
    errors && h("div", { class: "notice bad" }, h("p", {}, texts.refused), h("ul", {}, errors.map((each) => h("li", {}, each)))),
  ];
}

/** @param {string} id @param {string} text @param {string} label @param {() => void} onclick */
const button = (id, text, label, onclick) => h("button", { type: "button", class: "small", id, "aria-label": label, onclick }, text);

/** Whether an engine is built of a model that could be built again. @param {any} info @param {any} model */
const isBuilt = (info, model) => model.state !== "building" && (info.backend !== "onnxruntime" || model.precision === "int8");

/** @param {string} name @param {HTMLElement} came */
async function build(name, came) {
  const answer = await ask(texts.buildOf(name), [h("p", {}, texts.buildText)], [["", texts.cancel], ["build", texts.build, "main"]]);
  if (answer === "build") await order(`models/${part(name)}/build`, {}, came);
}

/** @param {any} model */
function modelText(model) {
  if (model.state === "building") return texts.building(model.progress, model.detail);
  if (model.state === "failed") return model.detail;
  return `${model.precision}, ${model.input.width} × ${model.input.height}`;
}

/** @param {Context} context @param {string} name */
function tileOf({ live, store, signal }, name) {
  const ends = new AbortController();
  signal.addEventListener("abort", () => ends.abort());
  const picture = new Picture(live, name, WISH, ends.signal);
  picture.draw = () => put(picture.overlay, boxes(picture.tracks, (point) => picture.at(point), { stale: !picture.fits }));
  const state = h("span", { class: "state" });
  const why = h("p", { class: "why" });
  const figures = ["fps", "latency", "drops", "objects"].map((key) => ({ key, value: h("dd", {}) }));
  const element = h(
    "article",
    { class: "card tile", "data-camera": name },
    h("a", { class: "cover", href: `#/camera/${encodeURIComponent(name)}`, "aria-label": name }, picture.element),
    h("h2", {}, h("a", { href: `#/camera/${encodeURIComponent(name)}` }, name), state),
    why,
    h("dl", { class: "figures" }, figures.map(({ key, value }) => h("div", {}, h("dt", {}, texts[/** @type {"fps"} */ (key)]), value))),
  );
  const update = () => {
    const status = store.cameras[name]?.status;
    const shown = status ? `${status.state}${status.reason ?? ""}` : "unknown";
    if (state.dataset.shown !== shown) put(state, chip(status?.state ?? "unknown"));
    state.dataset.shown = shown;
    const silent = !status || status.state === "streaming";
    say(why, silent ? (status ? texts.since(clock(status.since)) : "") : [status.reason, texts.since(clock(status.since))].filter(Boolean).join(" · "));
    const values = figuresOf(store.stats?.cameras[name], picture);
    figures.forEach(({ value }, i) => say(value, values[i]));
  };
  return { element, update, ends };
}

/** @param {any} stats of the camera @param {Picture} picture @returns {string[]} */
export function figuresOf(stats, picture) {
  if (!stats) return ["–", "–", "–", "–"];
  const total = stats.latency_ms.total;
  const objects = /** @type {Record<string, number>} */ ({});
  for (const { label } of picture.tracks.objects) objects[label] = (objects[label] ?? 0) + 1;
  return [
    number(stats.fps, 1),
    total ? `${number(total.p50)} / ${number(total.p95)}` : "–",
    counted(stats.dropped) || "0",
    picture.isLive ? counted(objects) || texts.none : "–",
  ];
}
