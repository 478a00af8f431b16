// One camera: its picture with what was found in it, its counters, settings and events.

import { api, part } from "./api.js";
import { sparkline, timeline } from "./chart.js";
import { h, once, put, say } from "./dom.js";
import { eventList } from "./events.js";
import { clock, counted, number } from "./format.js";
import { area, boxes } from "./overlay.js";
import { Settings } from "./orders.js";
import { chip, figuresOf } from "./overview.js";
import { Picture } from "./picture.js";
import { fromValue } from "./shapes.js";
import { texts } from "./texts.js";

/** @typedef {import("./main.js").Context} Context */
const WISH = { width: 1280, fps: 10, edited: true };
const LAYERS = ["boxes", "labels", "tracks", "zones", "lines", "masks"];
const KEPT = "layers"; // key in localStorage
const HOUR_EVERY = 10_000; // milliseconds between two looks at the last hour

/** @param {Context} context @param {string} name */
export function camera(context, name) {
  const { content, store, live, edits, signal } = context;
  const picture = new Picture(live, name, WISH, signal);
  const hidden = new Set(JSON.parse(localStorage.getItem(KEPT) ?? '["masks"]'));
  const view = { shapes: /** @type {import("./shapes.js").Shape[]} */ ([]) };
  const shows = (/** @type {string} */ layer) => !hidden.has(layer);
  picture.draw = () => {
    const at = (/** @type {[number, number]} */ point) => picture.at(point);
    const drawn = view.shapes.filter((each) => shows(`${each.kind}s`)).map((each) => area(each, at, noteOf(each)));
    put(picture.overlay, drawn, boxes(picture.tracks, at, { boxes: shows("boxes"), labels: shows("labels") && shows("boxes"), tracks: shows("tracks"), stale: !picture.fits, short: picture.element.clientWidth < 560 }));
  };
  const noteOf = (/** @type {import("./shapes.js").Shape} */ { kind, name: area }) => {
    const here = store.cameras[name];
    if (kind === "zone") return counted(here?.zones[area]?.counts ?? {});
    const totals = kind === "line" ? here?.lines[area] : null;
    return totals ? `${sum(totals.in)} in, ${sum(totals.out)} out` : "";
  };
  const switches = LAYERS.map((layer) => {
    const box = h("input", { type: "checkbox", checked: shows(layer), onchange: () => {
      if (box.checked) hidden.delete(layer);
      else hidden.add(layer);
      localStorage.setItem(KEPT, JSON.stringify([...hidden]));
      picture.draw();
    } });
    return h("label", { class: "switch" }, box, h("span", {}, texts.layers[layer]));
  });
  const parts = panels(new Settings(name, edits));
  const ages = h("span", { class: "ages" });
  put(
    content,
    h("div", { class: "title" }, h("h1", {}, name), parts.state, edits && h("a", { class: "button main", href: `#/camera/${part(name)}/edit` }, texts.edit)),
    h("p", { class: "why" }, parts.why),
    h("div", { class: "two" }, h("div", {}, picture.element, h("div", { class: "under" }, h("fieldset", { class: "switches" }, h("legend", { class: "sr" }, texts.show), switches), ages), parts.hour), h("div", {}, parts.now, parts.counts, parts.settings.element, parts.events)),
  );
  content.className = "camera";
  const update = once(() => fillIn(parts, context, name, picture), signal);
  let loaded = ""; // when the configuration was that the shapes are of
  const load = (/** @type {Record<string, any>|null} */ info) => {
    if (!info || info.configuration.loaded_at === loaded) return;
    loaded = info.configuration.loaded_at;
    api("GET", `cameras/${part(name)}/shapes`).then((found) => {
      picture.crop = found.shapes.crop;
      view.shapes = fromValue(found.shapes);
      picture.draw();
    }).catch(() => null); // a camera that is not in the file says so by its state
  };
  store.on((kind, message) => {
    if (kind === "info") load(message); // of a daemon that was away, or of a file that was changed
    if (kind === "event" && message.event.camera !== name) return;
    if (kind === "daemon" || kind === "broker") loadEvents(store).then(update); // what was missed, and what waits
    if (kind !== "detections") update();
  }, signal);
  const timer = setInterval(() => say(ages, picture.ages()), 500);
  const hour = async () => {
    const found = await api("GET", `cameras/${part(name)}/timeline`).catch(() => null);
    if (found && !signal.aborted) put(parts.hour, h("h2", {}, texts.hour), timeline(found.points, found.every_s));
  };
  const hourly = setInterval(() => document.hidden || hour(), HOUR_EVERY);
  signal.addEventListener("abort", () => [timer, hourly].forEach(clearInterval));
  load(store.info);
  loadEvents(store).then(update);
  hour();
  update();
}

/** @param {Settings} settings */
function panels(settings) {
  const panel = (/** @type {string} */ title) => h("section", { class: "card", "aria-label": title });
  return {
    state: h("span", { class: "state" }),
    why: h("span", {}),
    now: panel(texts.minute),
    hour: panel(texts.hour),
    counts: panel(texts.counts),
    settings,
    events: panel(texts.itsEvents),
  };
}

/** @param {ReturnType<typeof panels>} parts @param {Context} context @param {string} name @param {Picture} picture */
function fillIn(parts, { store }, name, picture) {
  const here = store.cameras[name];
  const status = here?.status;
  put(parts.state, chip(status?.state ?? "unknown"));
  const missing = store.info && !store.names.includes(name);
  say(parts.why, missing ? texts.noCamera(name) : status ? [status.reason, texts.since(clock(status.since))].filter(Boolean).join(" · ") : "");
  const [, latency, drops, objects] = figuresOf(store.stats?.cameras[name], picture);
  const rates = store.rates[name] ?? [];
  const figure = (/** @type {string} */ text, /** @type {string} */ value) => h("div", {}, h("dt", {}, text), h("dd", {}, value));
  put(
    parts.now,
    h("h2", {}, texts.minute),
    h("dl", { class: "list" }, figure(texts.objects, objects), figure(texts.drops, drops)),
    h("div", { class: "timeline" }, sparkline(texts.fps, number(rates.at(-1)?.fps, 1), rates.map((rate) => rate.fps)), sparkline(texts.latency, latency, rates.map((rate) => rate.p50))),
  );
  const zones = Object.values(here?.zones ?? {});
  const lines = Object.values(here?.lines ?? {});
  parts.counts.hidden = !zones.length && !lines.length;
  put(
    parts.counts,
    h("h2", {}, texts.counts),
    h("dl", { class: "list" }, zones.map((zone) => figure(zone.zone, `${texts.inZone}: ${counted(zone.counts) || texts.none}`)), lines.map((line) => figure(line.line, `${texts.crossed}: ${sum(line.in)} / ${sum(line.out)}`))),
  );
  parts.settings.update(here?.settings ?? {});
  put(parts.events, h("h2", {}, texts.itsEvents), eventList(store.events.filter(({ event }) => event.camera === name).slice(0, 12), store.broker?.connected === false));
}

/** @param {Record<string, number>} counts */
const sum = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);

/** The latest events as the daemon has them: what was missed, and which of them still wait. @param {import("./store.js").Store} store */
export async function loadEvents(store) {
  const found = await api("GET", "events?after=0").catch(() => null);
  const all = new Map(store.events.map((each) => [each.number, each]));
  for (const each of /** @type {import("./store.js").Happened[]} */ (found?.events ?? [])) {
    all.set(each.number, { ...each, picture: each.picture || (all.get(each.number)?.picture ?? false) }); // it may have come meanwhile
  }
  store.events = [...all.values()].sort((a, b) => b.number - a.number);
}
