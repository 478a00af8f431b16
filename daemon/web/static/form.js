// A form for the keys of a zone or line, made from the JSON Schema: a new key appears by itself.

import { h } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {Record<string, any>} Schema */
/** @typedef {{id: string, value: unknown, schema: Schema, labels: string[], change: (value: unknown) => void}} Field
 *   `change` with undefined: the key is taken out */

const FIRST = ["labels", "dwell", "max_count"]; // the others are folded while they are not set
const FEW = 12; // labels that are offered as boxes
const DRAWN = new Set(["polygon", "points", "in"]); // on the picture

/** @param {Schema} schema of a zone or line @param {Record<string, unknown>} keys as they are
 * @param {string[]} labels of the model @param {(keys: Record<string, unknown>) => void} change */
export function form(schema, keys, labels, change) {
  const fields = Object.entries(/** @type {Record<string, Schema>} */ (schema.properties ?? {})).filter(([name]) => !DRAWN.has(name));
  const made = fields.map(([name, of]) => {
    const id = `key-${name}`;
    const set = (/** @type {unknown} */ value) => {
      const { [name]: _, ...rest } = keys;
      change(value === undefined ? rest : name in keys ? { ...keys, [name]: value } : { ...rest, [name]: value });
    };
    const resolved = plain(of, schema);
    const input = control({ id, value: keys[name], schema: resolved, labels: name === "labels" ? labels : [], change: set });
    const about = h("small", { id: `${id}-about` }, of.description ?? "");
    input.setAttribute("aria-describedby", about.id);
    const row = input.tagName === "FIELDSET" ? h("div", { class: "key wide" }, input, about) : h("div", { class: "key" }, h("div", {}, h("label", { for: id }, name), about), input);
    return { name, row, shown: name in keys || FIRST.includes(name) };
  });
  const shown = made.filter((each) => each.shown).sort((a, b) => order(a.name) - order(b.name));
  const folded = made.filter((each) => !each.shown);
  const more = folded.length ? h("details", {}, h("summary", {}, texts.more(folded.length)), folded.map(({ row }) => row)) : null;
  return [...shown.map(({ row }) => row), more];
}

/** @param {string} name */
const order = (name) => (FIRST.indexOf(name) + FIRST.length + 1) % (FIRST.length + 1);

/** The first of several forms that is neither null nor the environment's. @param {Schema} schema @param {Schema} root
 * @returns {Schema} */
function plain(schema, root) {
  const of = (/** @type {Schema} */ each) => (each.$ref ? { ...root.$defs?.[each.$ref.split("/").pop()], ref: each.$ref } : each);
  const [first] = (schema.anyOf ?? [schema]).map(of).filter((/** @type {Schema} */ each) => each.type !== "null" && !/environment/.test(each.ref ?? ""));
  return { ...first, default: schema.default };
}

/** @param {Field} field @returns {HTMLElement} */
function control(field) {
  const { id, value, schema, labels, change } = field;
  const types = [schema.type].flat();
  const hint = schema.default === undefined || schema.default === null || String(schema.default) === "" ? "" : texts.defaultIs(String(schema.default));
  if (labels.length && labels.length <= FEW) return boxes(field);
  if (schema.enum) {
    const select = h("select", { id, onchange: () => change(select.value || undefined) }, h("option", { value: "" }, hint), schema.enum.map((/** @type {string} */ each) => h("option", { value: each }, each)));
    select.value = value === undefined ? "" : String(value);
    return select;
  }
  if (types.includes("boolean")) {
    const box = h("input", { id, type: "checkbox", checked: Boolean(value ?? schema.default), onchange: () => change(box.checked) });
    return box;
  }
  if (types.includes("array")) {
    const input = h("input", { id, value: value === undefined || value === null ? "" : [value].flat().join(", "), placeholder: hint, autocomplete: "off", onchange: () => change(listOf(input.value, types.includes("number") || schema.items?.type === "number")) });
    return input;
  }
  if (types.includes("number") || types.includes("integer")) return numeric(field, hint);
  const input = h("input", { id, value: value === undefined || value === null ? "" : String(value), placeholder: hint, autocomplete: "off", onchange: () => change(input.value || undefined) });
  return input;
}

/** @param {Field} field @param {string} hint */
function numeric({ id, value, schema, change }, hint) {
  const step = schema.type === "integer" ? 1 : "any";
  const { minimum: min, maximum: max } = schema;
  const input = h("input", { id, type: typeof value === "string" ? "text" : "number", inputmode: "decimal", step, min, max, placeholder: hint, autocomplete: "off", value: value === undefined || value === null ? "" : String(value), onchange: () => change(input.value === "" ? undefined : Number.isNaN(Number(input.value)) ? input.value : Number(input.value)) });
  return input;
}

/** @param {string} text @param {boolean} numbers @returns {unknown} */
function listOf(text, numbers) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  if (!parts.length) return undefined;
  const values = numbers ? parts.map((part) => (Number.isNaN(Number(part)) ? part : Number(part))) : parts;
  return numbers && values.length === 1 ? values[0] : values;
}

/** Classes: none chosen means all. @param {Field} field */
function boxes({ id, value, labels, change }) {
  const chosen = new Set(Array.isArray(value) ? value : []);
  const all = [...labels, ...[...chosen].filter((each) => !labels.includes(each))];
  const set = (/** @type {string} */ label, /** @type {boolean} */ on) => {
    if (on) chosen.add(label);
    else chosen.delete(label);
    change(chosen.size ? all.filter((each) => chosen.has(each)) : undefined);
  };
  return h(
    "fieldset",
    { id, class: "switches" },
    h("legend", {}, "labels"),
    all.map((label, i) => {
      const box = h("input", { type: "checkbox", id: `${id}-${i}`, checked: chosen.has(label), onchange: () => set(label, box.checked) });
      return h("label", { class: "switch" }, box, h("span", {}, label));
    }),
  );
}
