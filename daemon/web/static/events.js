// What has happened: the last 200 events.

import { h, once, put } from "./dom.js";
import { clock } from "./format.js";
import { loadEvents } from "./camera.js";
import { texts } from "./texts.js";

/** @typedef {import("./store.js").Happened} Happened */

/** @param {import("./main.js").Context} context */
export function events({ content, store, signal }) {
  const shown = h("div", { class: "card" });
  const filters = { camera: "", type: "", label: "" };
  const selects = Object.keys(filters).map((key) => {
    const name = /** @type {keyof filters} */ (key);
    const select = h("select", { id: `filter-${name}`, onchange: () => {
      filters[name] = select.value;
      update();
    } });
    return { name, select };
  });
  const bar = selects.map(({ name, select }) => h("div", {}, h("label", { for: select.id }, texts[name]), select));
  put(content, h("h1", {}, texts.events), h("p", { class: "dim" }, texts.noArchive), h("form", { class: "filters" }, bar), shown);
  const update = () => {
    for (const { name, select } of selects) options(select, [...new Set(store.events.map(({ event }) => event[name]).filter(Boolean))].sort());
    const fits = (/** @type {Happened} */ { event }) => Object.entries(filters).every(([name, value]) => !value || event[name] === value);
    put(shown, eventList(store.events.filter(fits), store.broker?.connected === false, true));
  };
  const soon = once(update, signal);
  const load = () => loadEvents(store).then(update);
  store.on((kind) => {
    if (kind === "event" || kind === "event-pictures") soon();
    else if (kind === "daemon" || kind === "broker") load(); // what was missed, and what waits
  }, signal);
  load();
  update();
}

/** @param {HTMLSelectElement} select @param {string[]} values */
function options(select, values) {
  if (select.options.length === values.length + 1 && values.every((value, i) => select.options[i + 1].value === value)) return;
  const chosen = select.value;
  put(select, h("option", { value: "" }, texts.all), values.map((value) => h("option", { value }, value)));
  select.value = values.includes(chosen) ? chosen : "";
}

/** @param {Happened[]} happened newest first @param {boolean} away whether the broker is: those that came since then wait
 * @param {boolean} [wide] with camera and picture */
export function eventList(happened, away, wide = false) {
  if (!happened.length) return h("p", { class: "dim" }, texts.noEvents);
  return h("ol", { class: wide ? "events wide" : "events" }, happened.map(({ number, event, picture, waits }) =>
    h(
      "li",
      { "data-event": event.type },
      h("time", { datetime: event.time }, clock(event.time)),
      wide && h("a", { href: `#/camera/${encodeURIComponent(event.camera)}` }, event.camera),
      h("span", { class: `kind ${event.type}` }, event.type),
      h("span", { class: "what" }, whatOf(event)),
      waits && away && h("span", { class: "chip connecting" }, texts.waits),
      wide && picture && h("img", { src: `api/events/${number}.jpg`, alt: `${event.type} ${clock(event.time)}`, loading: "lazy" }),
    ),
  ));
}

/** @param {Record<string, any>} event */
function whatOf(event) {
  const where = event.zone ?? event.line;
  return [
    event.label,
    where && `${where}${event.direction ? ` ${event.direction}` : ""}`,
    event.state && (texts.states[event.state] ?? event.state),
    event.reason,
    event.seconds !== null && event.seconds !== undefined && texts.seconds(event.seconds),
    event.count !== null && event.count !== undefined && `× ${event.count}`,
  ].filter(Boolean).join(" · ");
}
