// What the editor does to shapes, and its undo.

import assert from "node:assert/strict";
import { test } from "node:test";

import { turn } from "../../../daemon/web/static/geometry.js";
import { History } from "../../../daemon/web/static/history.js";
import * as shapes from "../../../daemon/web/static/shapes.js";

const VALUE = {
  zones: { porch: { polygon: [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]], labels: ["person"], dwell: 5 }, road: { polygon: [[0, 0.6], [1, 0.6], [1, 1]] } },
  lines: { gate: { points: [[0.5, 0.2], [0.5, 0.8]], in: [0.9, 0.5] } },
  masks: [[[0, 0], [0.2, 0], [0.2, 0.2]], [[0.8, 0], [1, 0], [1, 0.2]]],
};
const all = () => shapes.fromValue(VALUE);
const sideOf = ({ points, inner }) => Math.sign(turn(points[0], points[1], inner));

/** Random numbers that are the same in every run. */
function* dice(seed) {
  for (let state = seed; ; ) {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    yield state / 2 ** 31;
  }
}

test("what the file has is what would be written", () => {
  assert.deepEqual(shapes.toValue(all()), VALUE);
  assert.deepEqual(shapes.toValue(shapes.fromValue({})), { zones: {}, lines: {}, masks: [] });
});

test("any steps, all undone and redone, end in the first and in the last state", () => {
  const random = dice(7);
  const next = (n) => Math.floor(random.next().value * n);
  const history = new History(all());
  const first = JSON.stringify(history.present);
  const seen = [];
  for (let step = 0; step < 150; step++) {
    const now = history.present;
    const i = next(now.length);
    const point = [random.next().value, random.next().value];
    const changes = [
      () => shapes.replaced(now, i, shapes.withPoint(now[i], next(now[i].points.length), point)),
      () => shapes.replaced(now, i, shapes.withInserted(now[i], next(now[i].points.length), point)),
      () => shapes.replaced(now, i, shapes.withoutPoint(now[i], next(now[i].points.length))),
      () => shapes.replaced(now, i, shapes.shifted(now[i], point[0] - 0.5, point[1] - 0.5)),
      () => (now.length > 3 ? shapes.without(now, i) : now),
      () => shapes.duplicated(now, i),
      () => shapes.reordered(now, i, 1),
    ];
    const before = JSON.stringify(now);
    history.push(changes[next(changes.length)]());
    assert.equal(JSON.stringify(now), before, "a state was changed in place");
    seen.push(JSON.stringify(history.present));
    for (const each of history.present) {
      assert.ok(each.points.flat().every((value) => value >= 0 && value <= 1));
      assert.ok(each.points.length >= shapes.fewest(each.kind) && each.points.length <= 32);
    }
  }
  while (history.canUndo) history.undo();
  assert.equal(JSON.stringify(history.present), first);
  while (history.canRedo) history.redo();
  assert.equal(JSON.stringify(history.present), seen.at(-1));
});

test("undo is 200 steps deep, and a step forgets what was undone", () => {
  const history = new History(0);
  for (let i = 1; i <= 250; i++) history.push(i);
  let steps = 0;
  for (; history.canUndo; steps++) history.undo();
  assert.deepEqual([steps, history.present], [200, 50]);
  history.push(7);
  assert.equal(history.canRedo, false);
  assert.equal(history.push(7), false);
});

test("a line keeps its inside on the same side, however its ends move", () => {
  const random = dice(3);
  let line = shapes.drawn("line", [[0.2, 0.5], [0.8, 0.5]], []);
  const side = sideOf(line);
  for (let i = 0; i < 300; i++) {
    line = shapes.withPoint(line, i % 2, [random.next().value, random.next().value]);
    const refused = shapes.mistakes([line], 0);
    assert.deepEqual(refused, []);
    assert.equal(sideOf(line), side);
  }
  assert.equal(sideOf(shapes.swapped(line)), -side);
});

test("names are free, masks are numbered, order stays within a kind", () => {
  const zone = shapes.drawn("zone", [[0.1, 0.1], [0.2, 0.1], [0.2, 0.2]], all());
  assert.equal(zone.name, "zone-1");
  const more = shapes.added(all(), zone);
  assert.deepEqual(more.map((each) => each.name), ["porch", "road", "zone-1", "gate", "1", "2"]);
  assert.deepEqual(shapes.duplicated(more, 2).map((each) => each.name).slice(2, 4), ["zone-1", "zone-2"]);
  assert.deepEqual(shapes.without(more, 4).map((each) => each.name), ["porch", "road", "zone-1", "gate", "1"]);
  assert.equal(shapes.reordered(more, 2, 1), more);
  assert.deepEqual(shapes.reordered(more, 1, 1).map((each) => each.name).slice(0, 3), ["porch", "zone-1", "road"]);
});

test("mistakes of names and lines", () => {
  const codes = (list, index) => shapes.mistakes(list, index).map((each) => each.code);
  const [porch, road, gate] = all();
  assert.deepEqual(codes([{ ...porch, name: "road" }, road], 0), ["name-twice"]);
  assert.deepEqual(codes([{ ...porch, name: "front porch" }], 0), ["name"]);
  assert.deepEqual(codes([{ ...gate, points: [[0.5, 0.5], [0.5, 0.5]] }], 0), ["no-length"]);
  assert.deepEqual(codes([{ ...gate, inner: [0.5, 0.5] }], 0), ["no-inside"]);
  assert.deepEqual(codes([porch, { ...gate, name: "porch" }], 1), []);
});

test("who is inside now, of the labels that count, by the anchor that counts", () => {
  const view = { width: 1000, height: 1000 };
  const [porch] = all();
  const seen = [
    { label: "person", box: [350, 50, 450, 200] },
    { label: "car", box: [350, 50, 450, 200] },
    { label: "person", box: [350, 400, 450, 900] },
  ];
  assert.deepEqual(shapes.insideNow(porch, seen, view), { person: 1 });
  assert.deepEqual(shapes.insideNow({ ...porch, keys: {} }, seen, view), { person: 1, car: 1 });
  assert.deepEqual(shapes.insideNow({ ...porch, keys: { anchor: "centre" } }, [{ label: "dog", box: [350, 100, 450, 700] }], view), { dog: 1 });
});
