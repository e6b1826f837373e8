// Fills the page from status.json, again and again. Every string from there becomes a text node: nothing is ever parsed as HTML.
"use strict";

const EVERY = 2000;
const PATIENCE = 5000;
const GOOD = new Set(["serving", "ONLINE", "MASTER", "BACKUP"]);
const BAD = new Set(["down", "degraded", "OFFLINE_HARD", "SHUNNED", "FAULT"]);

const byId = (id) => document.getElementById(id);
const none = (value) => value === null || value === undefined || value === "";
const shown = (value) => (none(value) ? "–" : String(value));

// An element with text or elements in it.
function make(name, content, style) {
  const element = document.createElement(name);
  for (const part of Array.isArray(content) ? content : [content]) {
    element.append(part instanceof Node ? part : shown(part));
  }
  if (style) element.className = style;
  return element;
}

const number = (value) => make("td", none(value) ? "–" : value.toLocaleString("en-US"), "n");
const numbers = (...values) => values.map(number);
const texts = (...values) => values.map((value) => make("td", value));
const colour = (word) => (GOOD.has(word) ? "good" : BAD.has(word) ? "bad" : "warn");
const state = (word) => make("span", word, colour(word));

function span(ms) {
  if (none(ms)) return "–";
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return `${ms} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function micros(us) {
  if (none(us)) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(1)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

function rows(id, list, row, nothing) {
  const body = byId(id).tBodies[0];
  const made = list.map((item) => {
    const line = document.createElement("tr");
    line.append(...row(item));
    return line;
  });
  if (made.length === 0) {
    const line = document.createElement("tr");
    const cell = make("td", nothing);
    cell.colSpan = byId(id).tHead.rows[0].cells.length;
    line.append(cell);
    made.push(line);
  }
  body.replaceChildren(...made);
}

function advert(it) {
  return it.ago_ms === 0 ? `sends ${it.router} (${it.priority})` : `${it.router} (${it.priority}), ${span(it.ago_ms)} ago`;
}

function host(it) {
  const adverts = it.sends.length > 0 ? it.sends.map(advert).join("; ") : "none: a backup sends none";
  const name = make("th", it.this ? `${it.name} (this host)` : it.name);
  name.scope = "row";
  return [name, ...texts(it.address, adverts, it.vips.join(" "))];
}

function vip(it) {
  const because = [make("span", shown(it.because || it.cause))];
  if (Array.isArray(it.moves) && it.moves.length > 0) {
    const list = make("ul", it.moves.map((text) => make("li", text)));
    because.push(make("details", [make("summary", "what would move it"), list]));
  }
  return [...texts(it.router, (it.vips || []).join(" "), it.owner || "nobody"), make("td", state(it.state)),
    make("td", span(it.since_ms)), make("td", because)];
}

function servers(groups) {
  return groups.flatMap((group) => group.servers.map((server) => ({ group, server })));
}

function backend({ group, server }) {
  return [make("td", `${group.hostgroup} (${group.online} online, ${group.offline} offline)`, "line"), make("td", server.server),
    make("td", state(server.status)), ...numbers(server.used, server.free, server.errors, server.queries),
    make("td", server.latency_us === 0 ? "–" : micros(server.latency_us), "n"), make("td", server.reason)];
}

function digest(it) {
  const hostgroup = none(it.hostgroup) ? make("td", "cache", "n") : number(it.hostgroup);
  return [hostgroup, ...texts(it.user, it.schema), number(it.count), make("td", micros(it.sum_us), "n"),
    make("td", micros(it.count > 0 ? it.sum_us / it.count : 0), "n"), make("td", micros(it.max_us), "n"),
    make("td", make("code", it.text))];
}

function event(it) {
  const time = make("time", new Date(it.at_ms).toISOString().replace("T", " ").slice(0, 19), "time");
  time.dateTime = new Date(it.at_ms).toISOString();
  return [make("td", time), ...texts(it.source, it.text)];
}

function daemon(name, it) {
  if (!it.up) return `${name}: ${it.why}`;
  const since = none(it.since_ms) ? "" : ` for ${span(it.since_ms)}`;
  const restarts = none(it.restarts) ? "" : `; started again ${it.restarts} times`;
  const ending = none(it.last_ending) ? "" : ` (the last one: ${it.last_ending})`;
  return `${name}: the proxy is ${shown(it.verdict)}${since} (${shown(it.cause)})${restarts}${ending}`;
}

function facts(proxy) {
  const pairs = [["Up", span(proxy.uptime_s * 1000)], ["Clients", proxy.clients], ["Transactions", proxy.transactions],
    ["Pinned sessions", proxy.pinned], ["Statements", proxy.questions], ["Slow ones", proxy.slow_queries],
    ["Server connections", proxy.server_connections], ["Workers", proxy.workers]];
  const shownAs = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : value);
  return pairs.map(([name, value]) => make("div", [make("dt", name), make("dd", shownAs(value))]));
}

function show(it) {
  byId("host").textContent = it.host ? `on ${it.host}` : "";
  document.title = `${it.verdict}: ${it.host || "Standfast"}`;
  const verdict = byId("verdict");
  verdict.replaceChildren(state(it.verdict), ` ${shown(it.cause)}`);
  const alarm = byId("alarm");
  const unsaved = it.unsaved.map((module) => `${module}: runtime differs from disk`);
  const alarms = [...unsaved, ...(it.proxy.paused ? ["PROXYSQL PAUSE is in force: new clients wait"] : [])];
  alarm.hidden = alarms.length === 0;
  if (alarm.textContent !== alarms.join("; ")) alarm.textContent = alarms.join("; ");
  byId("vrrpd").textContent = it.vrrpd.up ? "" : `standfast-vrrpd: ${it.vrrpd.why}`;
  byId("angel").textContent = daemon("standfast-angel", it.angel);
  rows("hosts", it.hosts, host, "none");
  rows("vips", it.vips, vip, "none that this host knows of");
  byId("proxy").replaceChildren(...facts(it.proxy));
  rows("backends", servers(it.hostgroups), backend, "none is configured");
  rows("digests", it.digests, digest, "none yet");
  rows("events", it.events, event, "none yet");
  byId("version").textContent = `Standfast ${it.version}.`;
}

function lost(why) {
  byId("verdict").replaceChildren(state("down"), ` no answer from this host: ${why}; what is below is old`);
}

// The address of the page may carry a password, which a fetch refuses.
const source = () => new URL("status.json", window.location.origin + window.location.pathname);

async function refresh() {
  try {
    const answer = await fetch(source(), { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    lost(error.message);
  }
  setTimeout(refresh, EVERY);
}

refresh();
