// The keyboard on the editor.

import { withInserted } from "./shapes.js";

/** @typedef {import("./model.js").Kind} Kind */
/** @typedef {{save: () => void, help: () => void, freeze: () => void, copy: () => void, paste: () => void}} Actions */

const STEP = 0.002; // parts of the picture
const ARROWS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
const TOOLS = /** @type {Record<string, Kind>} */ ({ n: "zone", l: "line", m: "mask" });

/** @param {import("./stage.js").Stage} stage @param {Actions} actions @param {AbortSignal} signal */
export function listen(stage, actions, signal) {
  const { model } = stage;
  const focus = (/** @type {string} */ key) => /** @type {SVGElement|null} */ (stage.svg.querySelector(`[data-key="${key}"]`))?.focus();
  const focusSelected = () => focus(model.point >= 0 ? `point.${model.point}` : `${model.shape?.kind}.${model.selected}`);

  const control = /** @type {Record<string, () => void>} */ ({
    z: () => model.undo(), y: () => model.redo(), Z: () => model.redo(), s: actions.save, c: actions.copy, v: actions.paste,
    d: () => model.shape && model.paste(model.shape),
  });
  const plain = /** @type {Record<string, () => void>} */ ({
    "?": actions.help, f: actions.freeze, s: () => {
      model.snap = !model.snap;
      model.tell();
    },
    "+": () => stage.zoomTo(stage.zoom * 1.5), "-": () => stage.zoomTo(stage.zoom / 1.5), 0: () => stage.zoomTo(1),
  });

  /** @param {KeyboardEvent} event @returns {boolean} whether it was taken */
  function drawing(event) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const by = event.shiftKey ? 10 * STEP : STEP;
      const [x, y] = model.cursor ?? model.draft[model.draft.length - 1] ?? [0.5, 0.5];
      model.cursor = [Math.min(1, Math.max(0, x + arrow[0] * by)), Math.min(1, Math.max(0, y + arrow[1] * by))];
      stage.draw();
    } else if (event.key === " ") model.place(model.cursor ?? [0.5, 0.5]);
    else if (event.key === "Enter") {
      model.finish();
      focusSelected();
    } else if (event.key === "Backspace") model.takeBack();
    else if (event.key === "Escape") model.draw(null);
    else return false;
    return true;
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it was taken */
  function selecting(event) {
    const arrow = ARROWS[event.key];
    const onStage = stage.svg.contains(document.activeElement) || document.activeElement === document.body || document.activeElement === stage.svg.closest("main");
    if (!model.shape || !onStage) return false;
    if (arrow) {
      const by = event.shiftKey ? 10 * STEP : STEP;
      model.nudge(arrow[0] * by, arrow[1] * by);
    } else if (event.key === "Enter") after();
    else if (event.key === "Delete" || event.key === "Backspace") {
      if (model.point >= 0) model.removePoint(model.point);
      else model.remove();
      focusSelected();
    } else if (event.key === "Escape") model.select(-1);
    else return false;
    return true;
  }

  /** A point after the selected one, or the first point of a shape. */
  function after() {
    const { shape, point } = model;
    if (!shape) return;
    if (point >= 0) {
      const [a, b] = [shape.points[point], shape.points[(point + 1) % shape.points.length]];
      const middle = /** @type {[number, number]} */ ([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
      if (withInserted(shape, point, middle) !== shape) model.insert(point, middle);
    } else model.select(model.selected, 0);
    focusSelected();
  }

  document.addEventListener("keydown", (event) => {
    const at = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]")) return;
    const typing = at.matches("input:not([type=checkbox]), select, textarea");
    const command = event.ctrlKey || event.metaKey;
    if (command && typing && event.key !== "s") return;
    let taken = false;
    if (command) taken = run(control[event.key] ?? control[event.key.toLowerCase()]);
    else if (typing || event.altKey) return;
    else if (model.tool) taken = (event.key === " " || event.key === "Enter") && at.matches("button, a") ? false : drawing(event);
    else taken = selecting(event);
    if (!taken && !command) taken = TOOLS[event.key.toLowerCase()] ? run(() => choose(TOOLS[event.key.toLowerCase()])) : run(plain[event.key.toLowerCase()]);
    if (taken) event.preventDefault();
  }, { signal });

  /** By keyboard: with a cross in the middle. @param {Kind} kind */
  function choose(kind) {
    model.draw(kind);
    model.cursor = [0.5, 0.5];
    stage.draw();
    /** @type {HTMLElement|null} */ (document.activeElement)?.blur();
  }
}

/** @param {(() => unknown)|undefined} action */
function run(action) {
  action?.();
  return action !== undefined;
}
