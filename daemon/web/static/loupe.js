// What is under a finger, larger and beside it.

const SIZE = 120; // pixels
const LARGER = 2.5;

/** @param {import("./stage.js").Stage} stage @param {{clientX: number, clientY: number}} event of the finger
 * @param {import("./geometry.js").Point} point that is dragged or set */
export function showLoupe(stage, { clientX, clientY }, point) {
  const { loupe, picture, size } = stage;
  const box = stage.element.getBoundingClientRect();
  const [x, y] = [clientX - box.left, clientY - box.top];
  loupe.hidden = false;
  loupe.style.left = `${Math.min(box.width - SIZE, Math.max(0, x < box.width / 2 ? x + 36 : x - 36 - SIZE))}px`;
  loupe.style.top = `${Math.min(box.height - SIZE, Math.max(-40, y - SIZE - 24))}px`;
  const paint = loupe.getContext("2d");
  if (!paint) return;
  const half = loupe.width / 2;
  const scale = (LARGER * loupe.width) / SIZE; // of a pixel of the screen
  const on = (/** @type {number[]} */ [px, py]) => [(px - point[0]) * size.width * scale + half, (py - point[1]) * size.height * scale + half];
  paint.fillStyle = "#111";
  paint.fillRect(0, 0, loupe.width, loupe.height);
  const [left, top] = on([0, 0]);
  paint.drawImage(picture.canvas, left, top, size.width * scale, size.height * scale);
  paint.lineWidth = 3;
  for (const shape of [...stage.model.shapes, { kind: "line", points: stage.model.draft }]) {
    paint.beginPath();
    for (const each of shape.points) paint.lineTo(.../** @type {[number, number]} */ (on(each)));
    if (shape.kind !== "line") paint.closePath();
    paint.strokeStyle = "#5eead4";
    paint.stroke();
  }
  paint.beginPath();
  paint.moveTo(half - 22, half);
  paint.lineTo(half + 22, half);
  paint.moveTo(half, half - 22);
  paint.lineTo(half, half + 22);
  paint.strokeStyle = "#fff";
  paint.stroke();
}

/** @param {import("./stage.js").Stage} stage */
export function hideLoupe({ loupe }) {
  loupe.hidden = true;
}
