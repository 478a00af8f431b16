// Positions: the same test vectors as the daemon's geometry (tests/web/test_geometry.py), and what only the page does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as geometry from "../../../daemon/web/static/geometry.js";
import { crossingsOf, polygonMistakes } from "../../../daemon/web/static/shapes.js";

const vectors = JSON.parse(readFileSync(new URL("../geometry.json", import.meta.url), "utf8"));
const SIZE = { width: 1000, height: 500 };
const near = (a, b) => a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) < 1e-6, `${a} is not ${b}`));

for (const each of vectors.inside) {
  test(`inside: ${each.name}`, () => assert.equal(geometry.inside(each.polygon, each.point), each.inside));
}
for (const each of vectors.anchors) {
  test(`anchor: ${each.name}`, () => near(geometry.anchorOf(each.box, each.view, each.anchor), each.point));
}
for (const each of vectors.polygons) {
  test(`polygon: ${each.name}`, () => {
    const [found] = polygonMistakes(each.points);
    assert.equal(found?.code ?? null, each.mistake);
    assert.equal(Boolean(found && !found.advice), each.refused);
  });
}
for (const each of vectors.crossings) {
  test(`crossings: ${each.name}`, () => {
    const line = { kind: "line", name: "gate", points: each.line, inner: each.in, keys: {} };
    const way = each.way.map((point, at) => ({ label: "person", at, point, centre: point, height: each.height }));
    assert.deepEqual(crossingsOf(line, [way], each.view), { in: each.in_count, out: each.out_count });
  });
}

test("a point belongs to the nearest edge by distance, where bounding boxes would choose another", () => {
  const polygon = [[0.1, 0.1], [0.9, 0.2], [0.9, 0.9], [0.5, 0.25], [0.1, 0.9]];
  assert.equal(geometry.nearestEdge(polygon, [0.7, 0.5], SIZE), 2);
  assert.equal(geometry.nearestEdge(polygon, [0.3, 0.5], SIZE), 3);
  assert.equal(geometry.nearestEdge(polygon, [0.5, 0.16], SIZE), 0);
  assert.equal(geometry.nearestEdge(polygon, [0.1, 0.5], SIZE), 4);
  assert.equal(geometry.nearestEdge([[0, 0], [1, 1]], [0.5, 0.4], SIZE, false), 0);
});

test("a point snaps to points, then edges, then the border, within ten pixels", () => {
  const others = [{ points: [[0.2, 0.2], [0.4, 0.2], [0.4, 0.6]], closed: true }];
  near(geometry.snapped([0.205, 0.21], others, SIZE), [0.2, 0.2]);
  near(geometry.snapped([0.3, 0.21], others, SIZE), [0.3, 0.2]);
  near(geometry.snapped([0.995, 0.5], others, SIZE), [1, 0.5]);
  near(geometry.snapped([0.7, 0.985], others, SIZE), [0.7, 1]);
  near(geometry.snapped([0.7, 0.5], others, SIZE), [0.7, 0.5]);
});

test("Shift keeps to 45 degrees of the screen", () => {
  near(geometry.constrained([0.5, 0.5], [0.6, 0.51], SIZE), [0.6, 0.5]);
  near(geometry.constrained([0.5, 0.5], [0.6, 0.7], SIZE), [0.6, 0.7]);
  near(geometry.constrained([0.5, 0.5], [0.501, 0.7], SIZE), [0.5, 0.7]);
});

test("a shape moves as a whole and stops at the border", () => {
  near(geometry.moved([[0.1, 0.2], [0.3, 0.4]], 0.5, -0.5).flat(), [0.6, 0, 0.8, 0.2]);
  near(geometry.moved([[0.1, 0.2], [0.3, 0.4]], 5, 0).flat(), [0.8, 0.2, 1, 0.4]);
});

test("what crosses is shown where it crosses", () => {
  const bow = [[0.2, 0.2], [0.8, 0.8], [0.8, 0.2], [0.2, 0.8]];
  const [i, j] = geometry.selfCrossing(bow);
  near(geometry.crossingPoint(geometry.edges(bow)[i], geometry.edges(bow)[j]), [0.5, 0.5]);
});
