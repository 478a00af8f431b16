// Positions in pictures. Points are [x, y] in parts (0..1) of the turned picture, before it is cropped. Pure.

/** @typedef {[number, number]} Point parts of the turned picture */
/** @typedef {{width: number, height: number, crop?: number[]|null}} View a frame in pixels, and the part it shows */
/** @typedef {{width: number, height: number}} Size pixels of the screen that the whole picture takes */
/** @typedef {"bottom"|"centre"} Anchor */

const WHOLE = [0, 0, 1, 1];
const INSIDE = 1e-3; // pixels; the lower edge itself is outside of a zone that ends there
const BAND = 0.1; // distance from a line at which a side is certain, box heights

/** @param {number} value */
export const clamp = (value) => Math.min(1, Math.max(0, value));
/** @param {number} value @returns {number} 4 decimals */
export const round4 = (value) => Math.round(clamp(value) * 1e4) / 1e4;
/** @param {Point} point @returns {Point} */
export const rounded = ([x, y]) => [round4(x), round4(y)];

/** @template T @param {T[]} points @returns {[T, T][]} the edges of a closed polygon */
export const edges = (points) => points.map((point, i) => [point, points[(i + 1) % points.length]]);

/** Twice the area of a triangle: positive where c is right of the way from a to b, as seen in a picture.
 * @param {Point} a @param {Point} b @param {Point} c */
export const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

/** Whether the way from a to b touches the one from c to d.
 * @param {Point} a @param {Point} b @param {Point} c @param {Point} d */
export function meet(a, b, c, d) {
  const boxes = [0, 1].every(
    (i) => Math.max(Math.min(a[i], b[i]), Math.min(c[i], d[i])) <= Math.min(Math.max(a[i], b[i]), Math.max(c[i], d[i])),
  );
  return turn(c, d, a) * turn(c, d, b) <= 0 && turn(a, b, c) * turn(a, b, d) <= 0 && boxes;
}

/** Whether a point lies in a polygon: a ray to the right crosses an odd number of edges, as in the daemon.
 * @param {Point[]} polygon @param {Point} point */
export function inside(polygon, [x, y]) {
  let odd = false;
  for (const [[x1, y1], [x2, y2]] of edges(polygon)) {
    if (y1 > y !== y2 > y && x < ((y - y1) * (x2 - x1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
}

/** @param {Point[]} polygon @returns {number} parts of the picture's area */
export const area = (polygon) => Math.abs(edges(polygon).reduce((sum, [a, b]) => sum + a[0] * b[1] - a[1] * b[0], 0)) / 2;

/** The first two edges that touch and are not neighbours.
 * @param {Point[]} polygon @returns {[number, number]|null} indices of their first points */
export function selfCrossing(polygon) {
  const all = edges(polygon);
  for (let i = 0; i < all.length; i++) {
    for (let j = i + 2; j < all.length - (i === 0 ? 1 : 0); j++) {
      if (meet(...all[i], ...all[j])) return [i, j];
    }
  }
  return null;
}

/** Where two ways cross, for showing it. @param {[Point, Point]} one @param {[Point, Point]} other @returns {Point} */
export function crossingPoint([a, b], [c, d]) {
  const across = (b[0] - a[0]) * (d[1] - c[1]) - (b[1] - a[1]) * (d[0] - c[0]);
  if (!across) return a;
  const t = ((c[0] - a[0]) * (d[1] - c[1]) - (c[1] - a[1]) * (d[0] - c[0])) / across;
  return [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
}

/** A box's anchor, which zones and lines judge. @param {number[]} box pixels of the frame @param {View} view
 * @param {Anchor} [anchor] @returns {Point} */
export function anchorOf([x1, y1, x2, y2], view, anchor = "bottom") {
  const keep = (/** @type {number} */ value, /** @type {number} */ size) => Math.min(size - INSIDE, Math.max(0, value));
  const y = anchor === "centre" ? (y1 + y2) / 2 : y2;
  return parts([keep((x1 + x2) / 2, view.width), keep(y, view.height)], view);
}

/** Pixels of a frame as parts of the turned picture. @param {number[]} pixel @param {View} view @returns {Point} */
export function parts([x, y], view) {
  const [left, top, right, bottom] = view.crop ?? WHOLE;
  return [left + (x / view.width) * (right - left), top + (y / view.height) * (bottom - top)];
}

/** On which side of a line an anchor is for certain. @param {Point[]} line @param {Point} inner any point inside
 * @param {Point} point @param {number} height of its box, pixels @param {View} view
 * @returns {-1|0|1} 1 in, -1 out, 0 uncertain */
export function side([a, b], inner, point, height, view) {
  const [p, q, i, o] = [a, b, inner, point].map((each) => pixels(each, view));
  const distance = (turn(p, q, o) * Math.sign(turn(p, q, i))) / Math.hypot(q[0] - p[0], q[1] - p[1]);
  return distance >= BAND * height ? 1 : distance <= -BAND * height ? -1 : 0;
}

/** @param {Point} point @param {View} view @returns {Point} pixels of the frame */
function pixels([x, y], view) {
  const [left, top, right, bottom] = view.crop ?? WHOLE;
  return [((x - left) / (right - left)) * view.width, ((y - top) / (bottom - top)) * view.height];
}

/** @param {Point} a @param {Point} b @param {Size} size @returns {number} pixels of the screen */
export const distance = (a, b, size) => Math.hypot((a[0] - b[0]) * size.width, (a[1] - b[1]) * size.height);

/** The point of an edge that is nearest. @param {[Point, Point]} edge @param {Point} point @param {Size} size
 * @returns {Point} */
export function nearestOn([a, b], point, size) {
  const [dx, dy] = [(b[0] - a[0]) * size.width, (b[1] - a[1]) * size.height];
  const along = (point[0] - a[0]) * size.width * dx + (point[1] - a[1]) * size.height * dy;
  const t = clamp(along / (dx * dx + dy * dy || 1));
  return [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
}

/** The nearest edge by distance. @param {Point[]} points @param {Point} point @param {Size} size
 * @param {boolean} [closed] @returns {number} the index of its first point */
export function nearestEdge(points, point, size, closed = true) {
  const distances = edges(points).map((edge) => distance(nearestOn(edge, point, size), point, size));
  if (!closed) distances.pop();
  return distances.indexOf(Math.min(...distances));
}

/** Pulls a point to others' points, then to their edges, then to the picture's border. @param {Point} point
 * @param {{points: Point[], closed: boolean}[]} others @param {Size} size @param {number} [reach] pixels
 * @returns {Point} */
export function snapped(point, others, size, reach = 10) {
  const near = (/** @type {Point[]} */ candidates) => {
    const best = candidates.reduce(
      (/** @type {Point|null} */ found, each) =>
        !found || distance(each, point, size) < distance(found, point, size) ? each : found,
      null,
    );
    return best && distance(best, point, size) <= reach ? best : null;
  };
  const corner = near(others.flatMap((other) => other.points));
  if (corner) return corner;
  const on = others.flatMap(({ points, closed }) => (closed ? edges(points) : edges(points).slice(0, -1)));
  const edge = near(on.map((each) => nearestOn(each, point, size)));
  if (edge) return edge;
  const border = (/** @type {number} */ value, /** @type {number} */ length) =>
    value * length <= reach ? 0 : (1 - value) * length <= reach ? 1 : value;
  return [border(point[0], size.width), border(point[1], size.height)];
}

/** Turns the way from one point to another to a multiple of 45 degrees on the screen. @param {Point} from
 * @param {Point} to @param {Size} size @returns {Point} */
export function constrained(from, to, size) {
  const [dx, dy] = [(to[0] - from[0]) * size.width, (to[1] - from[1]) * size.height];
  const angle = (Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) * Math.PI) / 4;
  const length = dx * Math.cos(angle) + dy * Math.sin(angle);
  return [from[0] + (length * Math.cos(angle)) / size.width, from[1] + (length * Math.sin(angle)) / size.height];
}

/** Moves points as a whole, stopped at the border. @param {Point[]} points @param {number} dx @param {number} dy
 * @returns {Point[]} */
export function moved(points, dx, dy) {
  const stop = (/** @type {number} */ by, /** @type {number[]} */ values) =>
    Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), by));
  const [x, y] = [stop(dx, points.map((p) => p[0])), stop(dy, points.map((p) => p[1]))];
  return points.map((p) => rounded([p[0] + x, p[1] + y]));
}

/** @param {Point[]} points @returns {Point} the middle of their bounding box */
export function middle(points) {
  const mid = (/** @type {number[]} */ values) => (Math.min(...values) + Math.max(...values)) / 2;
  return [mid(points.map((p) => p[0])), mid(points.map((p) => p[1]))];
}

/** Of a line: the point that far to the side of its middle that counts as in. @param {Point[]} line
 * @param {Point} inner @param {Size} size @param {number} far pixels @returns {Point} */
export function sidePoint([a, b], inner, size, far) {
  const [dx, dy] = [(b[0] - a[0]) * size.width, (b[1] - a[1]) * size.height];
  const length = Math.hypot(dx, dy) || 1;
  const sign = Math.sign(turn(a, b, inner)) || 1;
  const [x, y] = [(-dy / length) * far * sign, (dx / length) * far * sign];
  return [(a[0] + b[0]) / 2 + x / size.width, (a[1] + b[1]) / 2 + y / size.height];
}
