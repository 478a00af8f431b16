// What a person does in the editor, undone and done again: the text that would be written is the very same one.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Model } from "../../../daemon/web/static/model.js";
import * as shapes from "../../../daemon/web/static/shapes.js";

const DEEP = 200;
const VALUE = {
  zones: { porch: { polygon: [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]], labels: ["person"], dwell: 5 }, road: { polygon: [[0, 0.6], [1, 0.6], [1, 1]] } },
  lines: { gate: { points: [[0.5, 0.2], [0.5, 0.8]], in: [0.9, 0.5], anchor: "centre" } },
  masks: [[[0, 0], [0.25, 0], [0.125, 0.123456]]],
};

/** Random whole numbers below `n` that are the same in every run. */
function dice(seed) {
  let state = seed;
  return (n) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * n);
  };
}

/** Does something at random, as pointer, keys and panel do it. */
function act(model, next) {
  const at = () => [next(1000) / 999, next(1000) / 999];
  const { shape } = model;
  const point = shape ? next(shape.points.length) : -1;
  const draws = (/** @type {"zone"|"line"|"mask"} */ kind, count) => {
    model.draw(kind);
    for (let i = 0; i < count; i++) model.place(at());
    model.finish();
    model.draw(null);
  };
  const actions = [
    () => model.select(next(model.shapes.length + 1) - 1),
    () => shape && model.select(model.selected, point),
    () => model.nudge(0.002, -0.002),
    () => model.insert(point, at()),
    () => model.removePoint(point),
    () => shape && model.order(next(2) ? 1 : -1),
    () => model.shapes.length > 3 && model.remove(),
    () => model.shapes.length < 12 && draws(["zone", "line", "mask"][next(3)], 4),
    () => shape && model.shapes.length < 12 && model.paste(shape),
    () => shape && shape.kind !== "mask" && model.change({ ...shape, name: `renamed-${next(1000)}` }),
    () => shape && shape.kind !== "mask" && model.change({ ...shape, keys: { ...shape.keys, dwell: next(60) } }),
    () => shape?.kind === "line" && model.change(shapes.swapped(shape)),
    () => {
      if (!shape) return;
      for (let i = 0; i < 3; i++) model.show(shapes.shifted(shape, i / 100, i / 50));
      if (next(2)) model.keep();
      else model.revert();
    },
  ];
  actions[next(actions.length)]();
}

const textOf = (model) => JSON.stringify(shapes.toValue(model.history.present));

for (const seed of [1, 2, 3]) {
  test(`200 steps back and forth give the very same texts, seed ${seed}`, () => {
    const model = new Model(shapes.fromValue(VALUE));
    const next = dice(seed);
    const texts = [textOf(model)];
    assert.equal(texts[0], JSON.stringify(VALUE));
    while (texts.length <= DEEP) {
      const before = model.history.present;
      act(model, next);
      if (model.history.present !== before) texts.push(textOf(model));
    }
    assert.equal(model.dirty, true);
    for (let round = 0; round < 2; round++) {
      for (let i = DEEP - 1; i >= 0; i--) {
        model.undo();
        assert.equal(textOf(model), texts[i], `back at ${i}`);
      }
      assert.deepEqual([model.history.canUndo, model.dirty], [false, false]);
      for (let i = 1; i <= DEEP; i++) {
        model.redo();
        assert.equal(textOf(model), texts[i], `again at ${i}`);
      }
      assert.equal(model.history.canRedo, false);
    }
  });
}
