// The page: who is logged in, which view is shown, and what holds everywhere.

import { api, onLoggedOut } from "./api.js";
import { h, put, once } from "./dom.js";
import { clock } from "./format.js";
import { Live } from "./live.js";
import { Store } from "./store.js";
import { texts } from "./texts.js";
import { login, tokenOf } from "./login.js";
import { overview } from "./overview.js";
import { camera } from "./camera.js";
import { editor } from "./editor.js";
import { events } from "./events.js";
import { log } from "./log.js";

/** @typedef {{role: "view"|"edit"|null, read_only: boolean, passwords: boolean, insecure: boolean,
 *   version: string|null, device: string|null}} Session */
/** @typedef {{content: HTMLElement, store: Store, live: Live, session: Session, edits: boolean, signal: AbortSignal,
 *   leaving: (ask: () => Promise<boolean>) => void}} Context what a view is given; `signal` ends with it */
/** @typedef {(context: Context, name: string) => void} View */

const content = /** @type {HTMLElement} */ (document.getElementById("content"));
const bar = /** @type {HTMLElement} */ (document.getElementById("bar"));
const notices = /** @type {HTMLElement} */ (document.getElementById("notices"));

/** @type {[RegExp, View, string][]} with the place in the menu that is marked */
const VIEWS = [
  [/^#?\/?$/, overview, "#/"],
  [/^#\/camera\/([^/]+)$/, camera, "#/"],
  [/^#\/camera\/([^/]+)\/edit$/, editor, "#/"],
  [/^#\/events$/, events, "#/events"],
  [/^#\/log$/, log, "#/log"],
];

/** @type {Session} */
let session = { role: null, read_only: false, passwords: true, insecure: false, version: null, device: null };
let store = new Store();
/** @type {Live|null} */
let live = null;
let ends = new AbortController();
/** @type {string|null} the address that is shown */
let shown = null;
/** @type {(() => Promise<boolean>)|null} whether the present view may be left */
let asks = null;

async function start() {
  const token = tokenOf(location.hash);
  if (token !== null) history.replaceState(null, "", "#/");
  let problem = "";
  try {
    session = await api("GET", "session");
    if (token !== null) session = await api("POST", "session", { token });
  } catch (error) {
    problem = token !== null && session.role === null ? texts.linkUsed : /** @type {Error} */ (error).message;
  }
  if (session.role) enter();
  else askForLogin(problem);
}

/** @param {string} [problem] */
function askForLogin(problem = "") {
  leave();
  session = { ...session, role: null };
  menu("");
  tell();
  login(content, session, problem, (found) => {
    session = found;
    if (location.hash.startsWith("#/login")) history.replaceState(null, "", "#/");
    enter();
  });
}

/** Ends the view that is shown, with what it asks. */
function end() {
  ends.abort();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close("");
}

function leave() {
  end();
  live?.close();
  live = null;
  asks = null;
  shown = null;
}

function enter() {
  store = new Store();
  live = new Live(store, askForLogin);
  store.on((kind) => ["live", "daemon", "broker", "info"].includes(kind) && tellSoon(), new AbortController().signal);
  show();
}

/** Shows what the address says. */
async function show() {
  if (!live || location.hash === shown) return;
  const wanted = location.hash;
  if (!/^#(\/|$)/.test(wanted || "#/")) return; // the skip link
  if (asks) {
    history.replaceState(null, "", shown || "#/");
    if (document.querySelector("dialog[open]") || !(await asks()) || !live) return;
    history.replaceState(null, "", wanted);
  }
  const first = shown === null;
  asks = null;
  end();
  ends = new AbortController();
  shown = wanted;
  const [pattern, view, place] = VIEWS.find(([each]) => each.test(wanted)) ?? [/$/, lost, ""];
  menu(place);
  tell();
  put(content);
  content.className = "";
  window.scrollTo(0, 0);
  const edits = session.role === "edit" && !session.read_only;
  const leaving = (/** @type {() => Promise<boolean>} */ ask) => {
    asks = ask;
  };
  view({ content, store, live, session, edits, signal: ends.signal, leaving }, decodeURIComponent(pattern.exec(wanted)?.[1] ?? ""));
  if (!first) content.focus({ preventScroll: true });
}

/** @type {View} */
const lost = (context) => put(context.content, h("h1", {}, texts.notFound));

/** @param {string} place the view that is shown */
function menu(place) {
  const link = (/** @type {string} */ to, /** @type {string} */ text) =>
    h("a", { href: to, "aria-current": to === place && "page" }, text);
  const links = [link("#/", texts.overview), link("#/events", texts.events), session.role === "edit" && link("#/log", texts.log)];
  const out = h("button", { type: "button", class: "quiet", onclick: logout }, texts.logout);
  put(bar, h("a", { class: "brand", href: "#/", "aria-label": session.device ?? texts.product }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), h("span", {}, session.device ?? texts.product)), session.role && h("nav", { "aria-label": texts.product }, links), session.role && out);
}

async function logout() {
  if (asks && !(await asks())) return;
  await api("DELETE", "session").catch(() => null);
  askForLogin();
}

/** Says what is wrong with the whole device, on every view. */
function tell() {
  const found = [];
  if (live && !live.open && store.daemon) found.push(["bad", texts.noPage(clock(live.since))]);
  else if (store.daemon && !store.daemon.connected) {
    found.push(["bad", `${texts.daemonAway(clock(store.daemon.since))} ${store.daemon.detail}`]);
  } else if (store.broker && !store.broker.connected) found.push(["warn", `${texts.brokerAway(clock(store.broker.since))} ${store.broker.detail}`]);
  if (session.insecure) found.push(["warn", texts.insecure]);
  if (session.role && session.read_only) found.push(["", texts.readOnly]);
  else if (session.role === "view") found.push(["", texts.viewer]);
  const said = found.map(([, text]) => text).join("\n");
  if (notices.dataset.said === said) return;
  notices.dataset.said = said;
  put(notices, found.map(([look, text]) => h("p", { class: `notice ${look}` }, text)));
}
const tellSoon = once(tell);

onLoggedOut(() => session.role && askForLogin());
addEventListener("hashchange", show);
start();
