// Checking and saving: what would change is shown first, and who else has changed the file is not overwritten unasked.

import { api, ApiError, part } from "./api.js";
import { ask, h } from "./dom.js";
import { clock } from "./format.js";
import { fromValue, toValue } from "./shapes.js";
import { texts } from "./texts.js";

/** @typedef {{kind: "same"|"old"|"new", line: number, text: string}} DiffLine */
/** @typedef {{mistakes: import("./panel.js").ServerMistake[], diff: DiffLine[], locked: string|null, paste: string|null}} Checked */
/** @typedef {{camera: string, revision: string, shapes: any, locked: string|null}} File as GET shapes gives it */

const CHECK_AFTER = 300; // milliseconds after the last change
const AROUND = 2; // unchanged lines that are shown beside changed ones

export class Saving {
  /** @param {string} camera @param {import("./model.js").Model} model @param {File} file
   * @param {(checked: Checked) => void} told @param {(text: string, bad?: boolean) => void} say
   * @param {AbortSignal} signal of the view */
  constructor(camera, model, file, told, say, signal) {
    this.camera = camera;
    this.model = model;
    this.file = file;
    this.told = told;
    this.say = say;
    this.signal = signal;
    this.timer = 0;
    this.asked = ""; // the value that was checked last
    this.busy = false;
    model.addEventListener("change", () => this.#later());
  }

  /** What would be written. */
  get value() {
    return { shapes: { ...toValue(this.model.history.present), crop: this.file.shapes.crop ?? null } };
  }

  get path() {
    return `cameras/${part(this.camera)}/shapes`;
  }

  #later() {
    if (this.model.preview || JSON.stringify(this.value) === this.asked) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.check().catch(() => null), CHECK_AFTER);
  }

  /** Rejected where the view has ended meanwhile: nothing is asked or said over another. @returns {Promise<Checked>} */
  async check() {
    clearTimeout(this.timer);
    const { value } = this;
    this.asked = JSON.stringify(value);
    const checked = /** @type {Checked} */ (await api("POST", `${this.path}/check`, value));
    this.signal.throwIfAborted();
    if (this.asked === JSON.stringify(value)) this.told(checked);
    return checked;
  }

  async save() {
    if (this.busy) return;
    this.busy = true;
    try {
      await this.#save(texts.saveTitle, "");
    } catch (error) {
      this.say(/** @type {Error} */ (error).message, true);
    } finally {
      this.busy = false;
    }
  }

  /** @param {string} title @param {string} about */
  async #save(title, about) {
    const checked = await this.check();
    if (checked.locked) return void (await showLocked(checked.locked, checked.paste));
    const [first] = checked.mistakes;
    if (first) return this.say(`${texts.notSaved}: ${[first.path, first.sentence].filter(Boolean).join(": ")}`, true);
    if (!checked.diff.some(({ kind }) => kind !== "same")) return this.say(texts.noChange);
    const buttons = /** @type {[string, string, string?][]} */ (about
      ? [["", texts.cancel], ["file", texts.takeFile], ["write", texts.keepMine, "main"]]
      : [["", texts.cancel], ["write", texts.write, "main"]]);
    const answer = await ask(title, [about && h("p", {}, about), diffOf(checked.diff)], buttons);
    if (answer === "file") this.#takeFile();
    if (answer === "write") await this.#write();
  }

  async #write() {
    try {
      const saved = await api("PUT", this.path, this.value, { "If-Match": this.file.revision });
      this.file = saved.present;
      this.model.wasSaved(JSON.stringify(this.model.history.present));
      this.say(`${texts.saved} ${saved.detail}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 412) {
        this.file = error.answer.present;
        await this.#save(texts.changedTitle, texts.changedText);
      } else if (error.status === 423) await showLocked(error.message, error.answer.paste);
      else if (error.answer.mistakes) this.told({ mistakes: error.answer.mistakes, diff: [], locked: null, paste: null });
      else throw new Error(error.answer.error === "no-answer" ? texts.maySaved : `${texts.notSaved}: ${error.message}`);
    }
  }

  #takeFile() {
    const shapes = fromValue(this.file.shapes);
    this.model.step(shapes);
    this.model.wasSaved(JSON.stringify(shapes));
  }

  /** The last saves of this camera, each with a way back. @returns {Promise<HTMLElement>} */
  async earlier() {
    const { saves } = await api("GET", "history");
    const back = async (/** @type {number} */ number) => {
      try {
        const saved = await api("POST", `history/${number}`, {});
        this.file = saved.present;
        this.#takeFile();
        this.say(`${texts.saved} ${saved.detail}`);
      } catch (error) {
        this.say(/** @type {Error} */ (error).message, true);
      }
    };
    const mine = saves.filter((/** @type {any} */ each) => each.camera === this.camera);
    return h("ul", { class: "saves" }, mine.length ? mine.map((/** @type {any} */ each) =>
      h("li", {}, h("span", {}, `${clock(each.time)} ${each.what}`), h("button", { type: "button", onclick: () => back(each.number) }, texts.putBack))) : h("li", { class: "dim" }, texts.none));
  }
}

/** @param {DiffLine[]} diff */
function diffOf(diff) {
  const near = diff.map((_, i) => diff.slice(Math.max(0, i - AROUND), i + AROUND + 1).some(({ kind }) => kind !== "same"));
  const sign = { same: " ", old: "−", new: "+" };
  return h("pre", { class: "diff", tabindex: "0", "aria-label": texts.saveTitle }, diff.flatMap((each, i) =>
    near[i] ? [h("span", { class: each.kind }, `${String(each.line).padStart(4)} ${sign[each.kind]} ${each.text}\n`)] : []));
}

/** @param {string} reason @param {string|null} paste */
export async function showLocked(reason, paste) {
  const answer = await ask(texts.lockedTitle, [h("p", {}, reason), paste && h("p", {}, texts.pasteText), paste && h("pre", { class: "diff", tabindex: "0" }, paste)], [["", texts.close], ...(paste ? [/** @type {[string, string, string]} */ (["copy", texts.copyLines, "main"])] : [])]);
  if (answer === "copy" && paste) await navigator.clipboard?.writeText(paste);
}
