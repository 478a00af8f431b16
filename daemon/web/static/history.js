// Undo and redo of whole states, which nobody changes in place. Pure.

const DEEP = 200;

/** @template T */
export class History {
  /** @param {T} first @param {number} [deep] how many steps can be undone */
  constructor(first, deep = DEEP) {
    /** @type {T[]} */
    this.states = [first];
    this.at = 0;
    this.deep = deep;
  }

  get present() {
    return this.states[this.at];
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  /** A step; what had been undone is forgotten. A state that equals the present one is none.
   * @param {T} state @returns {boolean} whether it was one */
  push(state) {
    if (JSON.stringify(state) === JSON.stringify(this.present)) return false;
    this.states = [...this.states.slice(0, this.at + 1), state].slice(-(this.deep + 1));
    this.at = this.states.length - 1;
    return true;
  }

  /** @returns {T} the state that is present then */
  undo() {
    if (this.canUndo) this.at -= 1;
    return this.present;
  }

  /** @returns {T} the state that is present then */
  redo() {
    if (this.canRedo) this.at += 1;
    return this.present;
  }
}
