// What is drawn over a picture: boxes, tracks, zones, lines, masks. Positions on the screen come from `at`.

import { s } from "./dom.js";
import { middle, sidePoint } from "./geometry.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {(point: Point) => [number, number]} At parts of the turned picture to pixels of the screen */

/** @param {string} text @returns {number} a hue for a class, the same everywhere */
function hue(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.charCodeAt(0)) % 997;
  return Math.round((hash * 137.5) % 360);
}

/** @param {string} label */
export const colour = (label) => `hsl(${hue(label)} 85% 62%)`;

/** @param {Point[]} points @param {At} at */
export const list = (points, at) => points.map((point) => at(point).map((value) => value.toFixed(1)).join(",")).join(" ");

/** A text on a dark plate. @param {string} text @param {number} x @param {number} y @param {Record<string, any>} [more] */
export function plate(text, x, y, more = {}) {
  const width = text.length * 6.6 + 10;
  return s(
    "g",
    { class: "plate", ...more },
    s("rect", { x: x.toFixed(1), y: (y - 13).toFixed(1), width: width.toFixed(1), height: 17, rx: 3 }),
    s("text", { x: (x + 5).toFixed(1), y: y.toFixed(1) }, text),
  );
}

/** @param {import("./tracks.js").Tracks} tracks @param {At} at
 * @param {{labels?: boolean, tracks?: boolean, boxes?: boolean, stale?: boolean, short?: boolean}} show
 * `stale`: of another picture; `short`: there is little room */
export function boxes(tracks, at, show) {
  const group = s("g", { class: show.stale ? "boxes stale" : "boxes" });
  if (show.tracks) {
    const present = new Set(tracks.objects.map((each) => each.track_id));
    for (const [id, way] of tracks.ways) {
      if (way.length > 1 && present.has(id)) {
        group.append(s("polyline", { class: "track", points: list(way.map((each) => each.point), at), stroke: colour(way[0].label) }));
      }
    }
  }
  for (const each of show.boxes === false ? [] : tracks.objects) {
    const [[x1, y1], [x2, y2]] = tracks.corners(each.box).map(at);
    const paint = colour(each.label);
    group.append(
      s("rect", { class: each.stationary ? "box standing" : "box", x: x1.toFixed(1), y: y1.toFixed(1),
        width: Math.max(0, x2 - x1).toFixed(1), height: Math.max(0, y2 - y1).toFixed(1), stroke: paint }),
    );
    if (show.labels) group.append(plate(show.short ? each.label : `${each.label} ${Math.round(each.score * 100)} %`, x1, Math.max(14, y1 - 5)));
  }
  return group;
}

/** The point of each object that zones and lines judge. @param {import("./tracks.js").Tracks} tracks @param {At} at
 * @param {(box: number[]) => Point} anchor */
export function anchors(tracks, at, anchor) {
  return s("g", { class: "anchors" }, tracks.objects.map((each) => {
    const [x, y] = at(anchor(each.box));
    return s("circle", { cx: x, cy: y, r: 4, fill: colour(each.label) });
  }));
}

/** A zone, line or mask as it stands. @param {Shape} shape @param {At} at @param {string} [note] behind its name
 * @param {Record<string, any>} [more] attributes */
export function area(shape, at, note = "", more = {}) {
  const group = s("g", { class: `shape ${shape.kind}`, ...more });
  if (shape.kind === "line") {
    group.append(s("polyline", { class: "outline", points: list(shape.points, at) }), arrow(shape, at));
  } else {
    group.append(s("polygon", { class: "outline", points: list(shape.points, at) }));
  }
  if (shape.kind !== "mask") {
    const [x, y] = shape.kind === "zone" ? at(middle(shape.points)) : at(shape.points[0]);
    const text = note ? `${shape.name}: ${note}` : shape.name;
    group.append(plate(text, Math.max(2, shape.kind === "zone" ? x - text.length * 3.3 - 5 : x + 6), Math.max(14, y + (shape.kind === "zone" ? 4 : -6))));
  }
  return group;
}

/** Which way is in, and the names of the two sides. @param {Shape} line @param {At} at */
function arrow(line, at) {
  const [a, b] = line.points.map(at);
  const inner = at(line.inner ?? line.points[0]);
  const size = { width: 1, height: 1 };
  const [mx, my] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const [ix, iy] = sidePoint([a, b], inner, size, 26);
  const [ox, oy] = [2 * mx - ix, 2 * my - iy];
  const angle = (Math.atan2(iy - my, ix - mx) * 180) / Math.PI;
  return s(
    "g",
    { class: "way" },
    s("path", { d: "M0,0 H20 M12,-6 L20,0 L12,6", transform: `translate(${mx},${my}) rotate(${angle})` }),
    plate("in", ix - 9 + (ix - mx) * 0.45, iy + 5 + (iy - my) * 0.45),
    plate("out", ox - 12, oy + 5),
  );
}
