// Zones, lines and masks of a camera, as the editor changes them: nothing is changed in place. Pure.

import { anchorOf, area, edges, inside, meet, middle, moved, rounded, selfCrossing, side, sidePoint, turn } from "./geometry.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").View} View */
/** @typedef {import("./geometry.js").Size} Size */
/** @typedef {"zone"|"line"|"mask"} Kind */
/** @typedef {{kind: Kind, name: string, points: Point[], inner?: Point, keys: Record<string, unknown>}} Shape
 *   `inner`: any point of a line's inside; `keys`: the other keys of a zone or line, as in the file */
/** @typedef {{zones?: Record<string, any>|null, lines?: Record<string, any>|null, masks?: Point[][]|null}} Value */
/** @typedef {{code: string, at?: Point, edges?: [number, number], advice?: boolean}} Mistake
 *   `advice`: the file would be taken all the same */
/** @typedef {{label: string, box: number[], track_id?: string|null}} Seen */
/** @typedef {{label: string, at: number, point: Point, centre: Point, height: number}} Sighting */

export const MOST_POINTS = 32;
export const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const LITTLE = 1e-4; // part of the picture's area
const SQUARE = { width: 1, height: 1 };

/** @param {Kind} kind */
export const fewest = (kind) => (kind === "line" ? 2 : 3);

/** @param {Value} value as the file has it @returns {Shape[]} */
export function fromValue(value) {
  const zones = Object.entries(value.zones ?? {}).map(([name, { polygon, ...keys }]) => shape("zone", name, polygon, keys));
  const lines = Object.entries(value.lines ?? {}).map(([name, { points, in: inner, ...keys }]) => ({
    ...shape("line", name, points, keys),
    inner,
  }));
  const masks = (value.masks ?? []).map((points, i) => shape("mask", `${i + 1}`, points, {}));
  return [...zones, ...lines, ...masks];
}

/** @param {Shape[]} shapes @returns {{zones: Record<string, any>, lines: Record<string, any>, masks: Point[][]}} */
export function toValue(shapes) {
  const of = (/** @type {Kind} */ kind) => shapes.filter((each) => each.kind === kind);
  return {
    zones: Object.fromEntries(of("zone").map(({ name, points, keys }) => [name, { polygon: points, ...keys }])),
    lines: Object.fromEntries(of("line").map(({ name, points, inner, keys }) => [name, { points, in: inner, ...keys }])),
    masks: of("mask").map(({ points }) => points),
  };
}

/** @param {Kind} kind @param {string} name @param {Point[]} points @param {Record<string, unknown>} [keys]
 * @returns {Shape} */
function shape(kind, name, points, keys = {}) {
  return { kind, name, points, keys };
}

/** A new one. @param {Kind} kind @param {Point[]} points @param {Shape[]} others @returns {Shape} */
export function drawn(kind, points, others) {
  const made = shape(kind, freeName(kind, others), points.map(rounded));
  return kind === "line" ? { ...made, inner: beside(made.points, 1) } : made;
}

/** @param {Kind} kind @param {Shape[]} others @param {string} [stem] */
export function freeName(kind, others, stem = kind) {
  const taken = new Set(others.filter((each) => each.kind === kind).map((each) => each.name));
  for (let number = 1; ; number++) {
    const name = kind === "mask" ? `${number}` : `${stem}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** A point on one side of a line, inside the picture. @param {Point[]} line @param {number} sign which side
 * @returns {Point} */
function beside([a, b], sign) {
  const to = (/** @type {number} */ far) => {
    const [p, q] = [sidePoint([a, b], [a[0], a[1]], SQUARE, far), sidePoint([a, b], [a[0], a[1]], SQUARE, -far)];
    return rounded(Math.sign(turn(a, b, p)) === sign ? p : q);
  };
  const point = [0.15, 0.05, 0.01, 0.001].map(to).find((each) => Math.sign(turn(a, b, each)) === sign && off([a, b], each));
  return point ?? to(0.15);
}

/** @param {Point[]} line @param {Point} point */
const off = ([a, b], point) => Math.abs(turn(a, b, point)) >= 1e-6;

/** The same with other points; the inside of a line stays on the same side. @param {Shape} each
 * @param {Point[]} points @returns {Shape} */
function withPoints(each, points) {
  if (each.kind !== "line" || !each.inner) return { ...each, points };
  const [a, b] = each.points;
  const sign = Math.sign(turn(a, b, each.inner)) || 1;
  const kept = Math.sign(turn(points[0], points[1], each.inner)) === sign && off(points, each.inner);
  return { ...each, points, inner: kept ? each.inner : beside(points, sign) };
}

/** @param {Shape} each @param {number} index @param {Point} point */
export const withPoint = (each, index, point) =>
  withPoints(each, each.points.map((old, i) => (i === index ? rounded(point) : old)));

/** @param {Shape} each @param {number} index of the edge's first point @param {Point} point */
export const withInserted = (each, index, point) =>
  each.kind === "line" || each.points.length >= MOST_POINTS
    ? each
    : withPoints(each, [...each.points.slice(0, index + 1), rounded(point), ...each.points.slice(index + 1)]);

/** Without one of its points, as long as enough stay. @param {Shape} each @param {number} index */
export const withoutPoint = (each, index) =>
  each.points.length > fewest(each.kind) ? withPoints(each, each.points.filter((_, i) => i !== index)) : each;

/** @param {Shape} each @param {number} dx @param {number} dy */
export const shifted = (each, dx, dy) => withPoints(each, moved(each.points, dx, dy));

/** A line whose other side counts as in. @param {Shape} each @returns {Shape} */
export function swapped(each) {
  const [a, b] = each.points;
  return each.inner ? { ...each, inner: beside(each.points, -Math.sign(turn(a, b, each.inner))) } : each;
}

/** @param {Shape[]} shapes @param {number} index @param {Shape} by */
export const replaced = (shapes, index, by) => shapes.map((each, i) => (i === index ? by : each));

/** Without one; masks are numbered again. @param {Shape[]} shapes @param {number} index */
export const without = (shapes, index) => numbered(shapes.filter((_, i) => i !== index));

/** With a copy of one beside it. @param {Shape[]} shapes @param {number} index */
export const duplicated = (shapes, index) => pasted(shapes, shapes[index]);

/** With a copy of one, of this camera or another. @param {Shape[]} shapes @param {Shape} copied */
export function pasted(shapes, copied) {
  const copy = shifted({ ...copied, name: freeName(copied.kind, shapes, copied.name.replace(/-\d+$/, "")) }, 0.02, 0.02);
  return added(shapes, copy);
}

/** With one more, behind the last of its kind. @param {Shape[]} shapes @param {Shape} one */
export function added(shapes, one) {
  const order = ["zone", "line", "mask"];
  const behind = shapes.filter((each) => order.indexOf(each.kind) <= order.indexOf(one.kind)).length;
  return numbered([...shapes.slice(0, behind), one, ...shapes.slice(behind)]);
}

/** With one a place earlier or later among those of its kind. @param {Shape[]} shapes @param {number} index
 * @param {number} by */
export function reordered(shapes, index, by) {
  const other = index + by;
  if (shapes[other]?.kind !== shapes[index].kind) return shapes;
  const result = [...shapes];
  [result[index], result[other]] = [result[other], result[index]];
  return numbered(result);
}

/** @param {Shape[]} shapes @returns {Shape[]} */
function numbered(shapes) {
  let masks = 0;
  return shapes.map((each) => (each.kind === "mask" ? { ...each, name: `${++masks}` } : each));
}

/** What is wrong with one; the server has the last word. @param {Shape[]} shapes @param {number} index
 * @returns {Mistake[]} */
export function mistakes(shapes, index) {
  const { kind, name, points, inner } = shapes[index];
  const found = /** @type {Mistake[]} */ ([]);
  if (kind !== "mask") {
    if (!NAME.test(name)) found.push({ code: "name" });
    if (shapes.some((each, i) => i !== index && each.kind === kind && each.name === name)) found.push({ code: "name-twice" });
  }
  if (kind === "line") {
    if (same(points[0], points[1])) found.push({ code: "no-length", at: points[0] });
    else if (!inner || !off(points, inner)) found.push({ code: "no-inside", at: points[0] });
    return found;
  }
  return [...found, ...polygonMistakes(points, kind === "mask")];
}

/** @param {Point[]} points @param {boolean} [lenient] masks may be of any form @returns {Mistake[]} */
export function polygonMistakes(points, lenient = false) {
  if (points.length < 3) return [{ code: "few-points" }];
  if (points.length > MOST_POINTS && !lenient) return [{ code: "many-points" }];
  const double = edges(points).find(([a, b]) => same(a, b));
  if (double) return [{ code: "point-twice", at: double[0], advice: lenient }];
  const crossing = selfCrossing(points);
  if (crossing) return [{ code: "crosses", edges: crossing, advice: lenient }];
  const size = area(points);
  if (size < 1e-6) return [{ code: "no-area", advice: lenient }];
  return size < LITTLE ? [{ code: "little-area", at: middle(points), advice: true }] : [];
}

/** @param {Point} a @param {Point} b */
const same = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Who is in a zone now, by label. @param {Shape} zone @param {Seen[]} objects @param {View} view
 * @returns {Record<string, number>} */
export function insideNow(zone, objects, view) {
  const labels = /** @type {string[]|undefined} */ (zone.keys.labels ?? undefined);
  const anchor = zone.keys.anchor === "centre" ? "centre" : "bottom";
  const counts = /** @type {Record<string, number>} */ ({});
  for (const { label, box } of objects) {
    if ((!labels || labels.includes(label)) && inside(zone.points, anchorOf(box, view, anchor))) {
      counts[label] = (counts[label] ?? 0) + 1;
    }
  }
  return counts;
}

/** How often objects have crossed a line. @param {Shape} line @param {Iterable<Sighting[]>} tracks @param {View} view
 * @returns {{in: number, out: number}} */
export function crossingsOf(line, tracks, view) {
  const counts = { in: 0, out: 0 };
  const labels = /** @type {string[]|undefined} */ (line.keys.labels ?? undefined);
  const which = line.keys.anchor === "centre" ? "centre" : "point";
  for (const track of tracks) {
    if (labels && track.length && !labels.includes(track[0].label)) continue;
    let settled = 0;
    let from = /** @type {Point|null} */ (null);
    for (const sighting of track) {
      const now = side(line.points, line.inner ?? line.points[0], sighting[which], sighting.height, view);
      if (!now) continue;
      if (now === -settled && from && meet(from, sighting[which], line.points[0], line.points[1])) {
        counts[now > 0 ? "in" : "out"] += 1;
      }
      settled = now;
      from = sighting[which];
    }
  }
  return counts;
}
