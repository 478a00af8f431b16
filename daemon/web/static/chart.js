// Small charts of a camera's counters.

import { h, s } from "./dom.js";
import { clock, counted, number } from "./format.js";
import { texts } from "./texts.js";

/** @typedef {{time: string, state: string|null, fps: number, p50_ms: number|null, p95_ms: number|null,
 *   dropped: Record<string, number>}} TimelinePoint */
const [WIDTH, HEIGHT] = [600, 56];

/** A line; nothing is drawn where there is no value. @param {(number|null)[]} values @param {number} top greatest value
 * @param {(i: number) => number} x @param {string} look */
function curve(values, top, x, look) {
  let pen = "M";
  const path = values.map((value, i) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const point = `${pen}${x(i).toFixed(1)},${(HEIGHT - 2 - (value / (top || 1)) * (HEIGHT - 6)).toFixed(1)}`;
    pen = "L";
    return point;
  });
  return s("path", { class: `curve ${look}`, d: path.join(" ") });
}

/** A line without axes. @param {string} title @param {string} value of now @param {(number|null)[]} values */
export function sparkline(title, value, values) {
  const step = WIDTH / Math.max(1, values.length - 1);
  return row(title, value, [curve(values, Math.max(...values.map((each) => each ?? 0)), (i) => i * step, "first")]);
}

/** Rate, latency, drops and state over the last hour, one below the other. @param {TimelinePoint[]} points
 * @param {number} every seconds between two */
export function timeline(points, every) {
  if (!points.length) return h("p", { class: "dim" }, texts.noHistory);
  const end = Date.parse(points[points.length - 1].time);
  const x = (/** @type {number} */ i) => WIDTH - ((end - Date.parse(points[i].time)) / 3_600_000) * WIDTH;
  const step = Math.max(1, (every / 3600) * WIDTH);
  const drops = points.map((point) => Object.values(point.dropped).reduce((sum, count) => sum + count, 0));
  const [fps, p50, p95] = [points.map((p) => p.fps), points.map((p) => p.p50_ms), points.map((p) => p.p95_ms)];
  const top = (/** @type {(number|null)[]} */ values) => Math.max(...values.map((value) => value ?? 0));
  const bar = (/** @type {number} */ value, /** @type {number} */ i) =>
    value ? s("rect", { class: "drop", x: (x(i) - step).toFixed(1), width: step.toFixed(1), y: (HEIGHT - (value / top(drops)) * (HEIGHT - 4)).toFixed(1), height: HEIGHT }) : null;
  const states = points.map((point, i) =>
    s("rect", { class: `strip ${point.state ?? "unknown"}`, x: (x(i) - step - 0.3).toFixed(1), width: (step + 0.6).toFixed(1), y: 0, height: HEIGHT }, s("title", {}, `${clock(point.time)} ${texts.states[point.state ?? "unknown"] ?? point.state}`)),
  );
  const last = points[points.length - 1];
  const sum = /** @type {Record<string, number>} */ ({});
  for (const point of points) for (const [reason, count] of Object.entries(point.dropped)) sum[reason] = (sum[reason] ?? 0) + count;
  return h(
    "div",
    { class: "timeline" },
    row(texts.stateTitle, texts.states[last.state ?? "unknown"] ?? "", [states], "low"),
    row(texts.rate, `${number(last.fps, 1)}, max ${number(top(fps), 1)}`, [curve(fps, top(fps), x, "first")]),
    row(texts.latencyTitle, `${number(last.p50_ms, 1)} / ${number(last.p95_ms, 1)}, max ${number(top(p95), 0)}`, [curve(p95, top(p95), x, "second"), curve(p50, top(p95), x, "first")]),
    row(texts.dropsTitle, counted(sum) || "0", [drops.map(bar)]),
    h("p", { class: "axis" }, h("span", {}, clock(new Date(end - 3_600_000).toISOString())), h("span", {}, clock(last.time))),
  );
}

/** @param {string} title @param {string} value @param {any[]} drawing @param {string} [look] */
function row(title, value, drawing, look = "") {
  return h(
    "div",
    { class: `row ${look}` },
    h("p", {}, h("span", {}, title), h("strong", {}, value)),
    s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${value}` }, ...drawing),
  );
}
