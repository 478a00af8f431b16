// The editor of a camera's zones, lines and masks.

import { api, part } from "./api.js";
import { ask, h, icon, put, say } from "./dom.js";
import { listen } from "./keys.js";
import { Model } from "./model.js";
import { Panel, tool } from "./panel.js";
import { Pointer } from "./pointer.js";
import { Saving, showLocked } from "./save.js";
import { fromValue } from "./shapes.js";
import { Stage } from "./stage.js";
import { texts } from "./texts.js";

/** @typedef {import("./main.js").Context} Context */
const CLIPBOARD = "shape"; // key in sessionStorage
const ICON = { class: "tool icon-only" };
const KINDS = /** @type {const} */ (["zone", "line", "mask"]);

/** @param {Context} context @param {string} name */
export function editor(context, name) {
  const { content, store, signal } = context;
  let opened = false;
  const load = async () => {
    if (opened) return;
    try {
      const file = await api("GET", `cameras/${part(name)}/shapes`);
      if (signal.aborted || opened) return;
      opened = true;
      open(context, name, file);
    } catch (error) {
      if (!signal.aborted) put(content, h("h1", {}, texts.editing(name)), h("p", { class: "notice bad" }, /** @type {Error} */ (error).message));
    }
  };
  put(content, h("h1", {}, texts.editing(name)));
  store.on((kind) => kind === "info" && load(), signal); // a daemon that was away has come back
  load();
}

/** @param {Context} context @param {string} name @param {any} file */
function open({ content, live, store, signal, edits, leaving }, name, file) {
  const model = new Model(fromValue(file.shapes));
  const stage = new Stage(live, name, model, signal);
  stage.picture.crop = file.shapes.crop;
  new Pointer(stage);
  const told = h("p", { class: "told", role: "status" }, texts.selecting);
  const spoken = h("p", { class: "sr", "aria-live": "polite" });
  const tell = (/** @type {string} */ text, bad = false) => {
    told.className = bad ? "told bad" : "told";
    say(told, text);
  };
  const copy = () => {
    if (!model.shape) return;
    sessionStorage.setItem(CLIPBOARD, JSON.stringify(model.shape));
    tell(texts.copied);
  };
  const paste = () => {
    const copied = sessionStorage.getItem(CLIPBOARD);
    if (copied) model.paste(JSON.parse(copied));
  };
  const panel = new Panel(stage, { schema: file.schema, labels: file.labels, copy });
  const saving = new Saving(name, model, file, (checked) => panel.setMistakes(checked.mistakes), tell, signal);
  const freeze = () => {
    stage.picture.freeze(!stage.picture.frozen);
    model.tell();
  };
  const help = () => ask(texts.keys, [h("dl", { class: "keys" }, texts.keyList.map(([key, text]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, text))))], [["", texts.close]]);
  listen(stage, { save: () => saving.save(), help, freeze, copy, paste }, signal);

  const bars = toolbar(stage, { freeze, help, paste });
  const save = h("button", { type: "button", class: "button main", onclick: () => saving.save() }, icon("save"), texts.save);
  const earlier = h("details", { class: "card", ontoggle: async () => earlier.open && put(past, await saving.earlier().catch((/** @type {Error} */ error) => error.message)) }, h("summary", {}, texts.history));
  const past = h("div", {});
  earlier.append(past);
  const back = h("a", { class: "button back", "aria-label": texts.back, href: `#/camera/${part(name)}` }, icon("back"), h("span", {}, texts.back));
  content.className = "editor";
  put(
    content,
    h("div", { class: "title" }, back, h("h1", {}, texts.editing(name)), save),
    file.tracking === false && h("p", { class: "notice warn" }, texts.noTracking),
    h("div", { class: "two" }, h("div", { class: "work" }, bars.element, stage.element, told), h("div", { class: "side" }, panel.element, edits && earlier)),
    spoken,
  );
  keepDraft(name, model, tell, signal);
  const update = (/** @type {string} */ said) => {
    bars.update();
    save.disabled = !edits || !model.dirty;
    if (said) say(spoken, said);
    if (model.tool) tell(`${texts.drawing[model.tool]}${matchMedia("(hover: hover)").matches ? ` ${texts.drawingKeys}` : ""}`);
    else if (model.shape && said) tell(model.preview ? said : `${said.replace(/\.?$/, ".")} ${texts.selectedHint}`);
    else if (said) tell(said);
  };
  model.addEventListener("change", (event) => update(/** @type {CustomEvent} */ (event).detail));
  store.on((kind, message) => kind === "detections" && message.camera === name && panel.now(), signal);
  leaving(async () => !model.dirty || (await ask(texts.leaveTitle, [h("p", {}, texts.leaveText)], [["", texts.stay, "main"], ["leave", texts.leave]])) === "leave");
  addEventListener("beforeunload", (event) => model.dirty && event.preventDefault(), { signal });
  model.tell();
  saving.check().then(async ({ locked, paste: lines }) => { if (locked) await showLocked(locked, lines); }).catch((error) => tell(error.message, true));
}

/** Unsaved changes stay in this tab. @param {string} name @param {Model} model
 * @param {(text: string) => void} tell @param {AbortSignal} signal */
function keepDraft(name, model, tell, signal) {
  const key = `draft:${name}`;
  const kept = sessionStorage.getItem(key);
  if (kept && kept !== model.saved) {
    model.step(JSON.parse(kept));
    setTimeout(() => signal.aborted || tell(texts.draft));
  }
  model.addEventListener("change", () => {
    if (model.dirty) sessionStorage.setItem(key, JSON.stringify(model.history.present));
    else sessionStorage.removeItem(key);
  });
}

/** @param {Stage} stage @param {{freeze: () => void, help: () => void, paste: () => void}} actions */
function toolbar(stage, { freeze, help, paste }) {
  const { model } = stage;
  const choose = tool("select", texts.select, () => model.draw(null));
  const tools = KINDS.map((kind) => ({ kind, button: tool(kind, texts.kinds[kind], () => model.draw(model.tool === kind ? null : kind)) }));
  const undo = tool("undo", texts.undo, () => model.undo(), ICON);
  const redo = tool("redo", texts.redo, () => model.redo(), ICON);
  const snap = tool("snap", texts.snap, () => {
    model.snap = !model.snap;
    model.tell();
  });
  const freezes = tool("freeze", texts.freeze, freeze);
  const group = (/** @type {string} */ label, /** @type {any[]} */ ...buttons) => h("div", { class: "group", role: "group", "aria-label": label }, buttons);
  const pressed = (/** @type {HTMLElement} */ button, /** @type {boolean} */ on) => button.setAttribute("aria-pressed", String(on));
  return {
    element: h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": texts.tools },
      group(texts.tools, choose, tools.map(({ button }) => button)),
      group(texts.undo, undo, redo),
      group(texts.snap, snap, freezes),
      group(texts.zoomIn, tool("minus", texts.zoomOut, () => stage.zoomTo(stage.zoom / 1.5), ICON), tool("plus", texts.zoomIn, () => stage.zoomTo(stage.zoom * 1.5), ICON)),
      group(texts.keys, tool("paste", texts.paste, paste, ICON), tool("keys", texts.keys, help, { class: "tool icon-only keyboard" })),
    ),
    update: () => {
      pressed(choose, !model.tool);
      for (const { kind, button } of tools) pressed(button, model.tool === kind);
      pressed(snap, model.snap);
      pressed(freezes, stage.picture.frozen);
      undo.disabled = !model.history.canUndo;
      redo.disabled = !model.history.canRedo;
      stage.element.classList.toggle("drawing", model.tool !== null);
    },
  };
}
