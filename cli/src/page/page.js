// The exchanges of the page are in DATA, or come from the server. A summary has `id`, `name`, `status`,
// `duration_ms` and `search`; the detail is in DATA, or is fetched when an exchange is opened.

const ROW = 32, KEPT = 5000, SLOW = 1000;
const byId = id => document.getElementById(id);
const list = byId("list"), space = byId("space"), detail = byId("detail"), filter = byId("filter"), state = byId("state");
const summaries = new Map();
let order = [], shown = [], open = null, view = null, stale = false, replayed = null;

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function put(parent, ...children) { parent.append(...children); return parent; }
const milliseconds = time => time.toFixed(time < 10 ? 2 : 1) + " ms";
const titled = (title, ...children) => put(document.createDocumentFragment(), node("h2", "", title), ...children);

// The list: only the rows that can be seen are elements.

function matcher(text) {
  const tests = text.trim().toLowerCase().split(/\s+/).filter(Boolean).map(word => {
    const not = word.startsWith("-") && word.length > 1, wanted = not ? word.slice(1) : word;
    const [key, value] = wanted.includes(":") ? [wanted.slice(0, wanted.indexOf(":")), wanted.slice(wanted.indexOf(":") + 1)] : ["", ""];
    const test = {
      status: one => String(one.status ?? "").startsWith(value),
      method: one => (one.name.split(" ").at(-2) ?? "").toLowerCase().startsWith(value),
      path: one => one.name.split(" ").at(-1).toLowerCase().startsWith(value),
      is: one => ({
        failed: one.failures?.length > 0 || one.reset || (one.status ?? 500) >= 500 && !one.in_flight,
        flying: one.in_flight, replay: one.replay_of != null, slow: one.duration_ms > SLOW,
      })[value] ?? false,
    }[key] ?? (one => one.search.includes(wanted));
    return one => test(one) !== not;
  });
  return one => tests.every(test => test(one));
}
let fits = matcher("");

function add(summary) {
  const before = summaries.get(summary.id), [did, does] = [before !== undefined && fits(before), fits(summary)];
  summaries.set(summary.id, summary);
  if (before === undefined) order.push(summary.id);
  if (did && !does) shown.splice(shown.indexOf(summary.id), 1);
  if (!did && does) {
    // An exchange may fit only when it is over, and later ones are shown by then.
    let index = shown.length;
    while (index > 0 && shown[index - 1] > summary.id) index--;
    shown.splice(index, 0, summary.id);
    if (!DATA && list.scrollTop > 0) list.scrollTop += ROW;
  }
  if (order.length > KEPT + 500) {
    for (const id of order.splice(0, order.length - KEPT)) summaries.delete(id);
    select();
  }
  later();
}
function select() {
  fits = matcher(filter.value);
  shown = order.filter(id => fits(summaries.get(id)));
  later();
}
function later() { if (!stale) { stale = true; requestAnimationFrame(paint); } }
const at = index => summaries.get(DATA ? shown[index] : shown[shown.length - 1 - index]);

function paint() {
  stale = false;
  space.style.height = shown.length * ROW + "px";
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 5);
  const rows = [];
  for (let index = first; index < last; index++) rows.push(row(at(index), index));
  list.replaceChildren(space, ...rows);
  const count = shown.length === order.length ? order.length : shown.length + " of " + order.length;
  state.dataset.count = count;
  state.textContent = count + " exchanges" + (state.dataset.live ? " · " + state.dataset.live : "");
}
function row(one, index) {
  const made = node("div", "row" + (one.id === open ? " open" : ""));
  made.style.top = index * ROW + "px"; made.dataset.id = one.id;
  made.setAttribute("role", "option"); made.setAttribute("aria-selected", one.id === open);
  const status = one.status ?? (one.in_flight ? "…" : "—");
  const time = one.failures?.length ? one.failures.length + " failed" : one.duration_ms == null ? "" : milliseconds(one.duration_ms);
  return put(made, node("span", "status s" + (one.in_flight ? "" : String(one.status ?? 0)[0]), status),
    node("span", "path mono", one.name), node("span", "time", (one.replay_of == null ? "" : "replay · ") + (one.reset ? "reset · " : "") + time));
}
list.onscroll = later; window.onresize = later; filter.oninput = select;
list.onclick = event => { const chosen = event.target.closest(".row"); if (chosen) show(Number(chosen.dataset.id)); };
list.onkeydown = event => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !shown.length) return;
  event.preventDefault();
  let index = shown.indexOf(open);
  if (!DATA && index >= 0) index = shown.length - 1 - index;
  index = Math.min(shown.length - 1, Math.max(0, index + step));
  if (index * ROW < list.scrollTop) list.scrollTop = index * ROW;
  if ((index + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (index + 1) * ROW - list.clientHeight;
  show(at(index).id);
};
byId("clear").onclick = () => {
  summaries.clear(); order = []; shown = []; open = null; view = null;
  detail.replaceChildren(node("p", "empty", "Choose an exchange.")); later();
};

// One exchange.

function lines(message) {
  if (!message) return [];
  const field = ([name, value]) => name + ": " + value, found = message.headers.map(field);
  if (message.size) found.push("", ...message.body.split("\n"));
  if (message.size > message.shown) found.push("… " + message.size.toLocaleString() + " bytes in all");
  if (message.trailers.length) found.push("", ...message.trailers.map(field));
  if (!message.complete) found.push("", "(no end yet, or cut off)");
  return found;
}
function pair(title, sides, titles, none) {
  const texts = [lines(sides.before), lines(sides.after)], both = sides.before && sides.after;
  const columns = ["before", "after"].map((side, index) => {
    if (!sides[side]) return put(node("div"), node("h3", "", titles[index]), node("pre", index ? "failed" : "", index ? none : "nothing"));
    const other = new Set(texts[1 - index]), made = node("pre"), mark = index ? "add" : "cut";
    for (const line of texts[index]) put(made, node("div", both && !other.has(line) ? mark : "same", line));
    return put(node("div"), node("h3", "", titles[index]), made);
  });
  return titled(title, put(node("div", "pair"), ...columns));
}
function lane(name, bars, end) {
  const track = node("div", "track");
  for (const bar of bars) {
    const made = node("span", bar.kind), stop = bar.end ?? end;
    made.style.left = 100 * bar.start / end + "%"; made.style.width = 100 * Math.max(0, stop - bar.start) / end + "%";
    made.title = bar.name + ": " + milliseconds(bar.start) + " to " + (bar.end == null ? "now" : milliseconds(stop));
    put(track, made);
  }
  const took = bars.reduce((sum, bar) => sum + (bar.end ?? end) - bar.start, 0);
  const label = node("span", "", name); label.title = name;
  return put(node("div", "lane"), label, track, node("span", "took", milliseconds(took)));
}
function timeline(exchange) {
  if (exchange.now === undefined) return document.createDocumentFragment();
  const end = Math.max(exchange.duration_ms ?? exchange.now, .001), lanes = node("div", "timeline"), filters = new Map(), opened = [];
  const [sent, came, reached] = [exchange.request_at_upstream, exchange.response_from_upstream, exchange.response_at_client];
  const over = exchange.in_flight ? null : end;
  put(lanes, lane("request in the filters", [{ name: "until it is forwarded", start: 0, end: sent ?? reached ?? over }], end));
  if (sent != null) put(lanes, lane("upstream", [{ name: "until its response headers", kind: "wait", start: sent, end: came ?? over }], end));
  if (came != null) put(lanes, lane("response in the filters", [{ name: "until it is forwarded", start: came, end: reached ?? over }], end));
  if (reached != null) put(lanes, lane("response to the client", [{ name: "until its end", kind: "wait", start: reached, end: over }], end));
  for (const event of exchange.events) {
    if (!filters.has(event.filter)) filters.set(event.filter, []);
    if (event.kind === "callback") opened.push({ name: event.name, start: event.t, end: null });
    const last = event.kind === "returned" || event.kind === "trap" ? opened.pop() : null;
    if (last) filters.get(event.filter).push({ ...last, end: event.t, kind: event.kind === "trap" ? "failed" : "" });
  }
  const name = index => filters.size > 1 ? "callbacks of filter " + (index + 1) : "callbacks";
  for (const [index, bars] of filters) put(lanes, lane(name(index), bars, end));
  for (const call of exchange.callouts) put(lanes, lane("callout to " + call.cluster, [{ name: call.cluster, kind: "wait", start: call.start, end: call.end ?? over }], end));
  return titled("Timeline", lanes);
}
const describe = {
  callback: event => "→ " + event.name + "(" + event.arguments.join(", ") + ")",
  returned: event => "← " + event.name + (event.result === null ? "" : " = " + event.result),
  call: event => event.name + (event.status ? " = status " + event.status : ""),
  log: event => event.level + ": " + event.message,
  trap: event => "the VM failed: " + event.message,
};
function eventList(events, time) {
  const made = node("div", "events mono"), several = events.some(event => event.filter > 0);
  for (const event of events) {
    const failed = event.kind === "trap" || event.kind === "log" && /error|critical/.test(event.level) || event.kind === "call" && event.status > 1;
    const line = put(node("div"), node("span", "at", time(event)));
    if (several) put(line, node("span", "filter", "filter " + (event.filter + 1)));
    put(made, put(line, node("span", "text " + event.kind + (failed ? " failed" : ""), describe[event.kind](event))));
  }
  return made;
}
function replayForm(exchange) {
  const form = node("form"), before = exchange.request.before, line = node("div", "line");
  const value = name => before.headers.find(([found]) => found === name)?.[1] ?? "";
  const input = (text, label) => { const made = node("input", "mono"); made.value = text; made.setAttribute("aria-label", label); return made; };
  const area = (text, label) => { const made = node("textarea"); made.value = text; made.setAttribute("aria-label", label); made.spellcheck = false; return made; };
  const method = input(value(":method"), "Method"), path = input(value(":path"), "Path"), problem = node("p", "failed");
  method.style.maxWidth = "7rem"; form.id = "replay"; form.hidden = true;
  const kept = before.headers.filter(([name]) => !name.startsWith(":") && !["x-forwarded-proto", "x-request-id", "content-length"].includes(name));
  const headers = area([["host", value(":authority")], ...kept].map(([name, value]) => name + ": " + value).join("\n"), "Headers");
  const body = area(before.body, "Body");
  form.onsubmit = async event => {
    event.preventDefault();
    const pairs = headers.value.split("\n").filter(line => line.trim()).map(line => {
      const colon = line.indexOf(":", 1);
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    });
    replayed = exchange.id;
    const changed = body.value === before.body ? null : body.value;
    const text = JSON.stringify({ of: exchange.id, method: method.value, path: path.value, headers: pairs, body: changed, http2: exchange.http2 });
    const reply = await fetch("replay", { method: "POST", headers: { "content-type": "application/json" }, body: text });
    problem.textContent = reply.ok ? "" : await reply.text();
    if (!reply.ok) replayed = null;
  };
  return put(form, put(line, method, path, node("button", "", "Send")), headers, body, problem);
}
function render(exchange) {
  detail.replaceChildren();
  put(detail, node("h2", "mono", exchange.name + " → " + (exchange.status ?? (exchange.in_flight ? "in flight" : "no response")) + (exchange.reset ? ", reset" : "")));
  const live = exchange.now !== undefined;
  if (live) {
    const about = [new Date(exchange.time).toLocaleTimeString(), exchange.http2 ? "HTTP/2" : "HTTP/1.1"];
    if (exchange.replay_of != null) about.push("replay of exchange " + exchange.replay_of);
    const button = node("button", "", "Replay"), form = replayForm(exchange);
    button.id = "edit"; button.onclick = () => { form.hidden = !form.hidden; };
    put(detail, put(node("p"), button, " ", node("span", "", about.join(" · "))), form);
  }
  for (const failure of exchange.failures ?? []) put(detail, node("p", "failed", "✗ " + failure));
  const titles = live ? [["from the client", "at the upstream"], ["from the upstream", "at the client"]]
    : [["without the filter", "at the upstream"], ["without the filter", "at the client"]];
  put(detail, timeline(exchange), pair("Request", exchange.request, titles[0], "did not reach the upstream"),
    pair("Response", exchange.response, titles[1], "no response"));
  const callouts = exchange.callouts ?? Object.entries(exchange.calls ?? {}).flatMap(([cluster, calls]) => calls.map(request => ({ cluster, request })));
  for (const { cluster, request, response } of callouts) {
    const sides = [["request", request], ["response", response]].filter(([, message]) => message);
    const columns = sides.map(([title, message]) => put(node("div"), node("h3", "", title), node("pre", "", lines(message).join("\n"))));
    put(detail, titled("Callout to " + cluster, put(node("div", "pair"), ...columns)));
  }
  const time = event => event.t === undefined ? "" : event.t.toFixed(3);
  put(detail, titled("Callbacks, host calls and log", eventList(exchange.events, time)));
  if (exchange.omitted_events) put(detail, node("p", "", exchange.omitted_events + " more events were not kept."));
}
async function show(id) {
  if (open !== id) detail.scrollTop = 0;
  open = id; view = null; later();
  if (DATA) return render(DATA[id - 1]);
  const reply = await fetch("exchanges/" + id);
  if (open !== id) return;
  if (reply.ok) render(await reply.json());
  else detail.replaceChildren(node("p", "empty", await reply.text()));
}

// The plugins: what is shared by all exchanges.

function table(title, rows, none) {
  const made = node("table");
  for (const [name, value] of rows) put(made, put(node("tr"), node("td", "mono", name), node("td", "mono", value)));
  return put(document.createDocumentFragment(), node("h3", "", title), rows.length ? made : node("p", "", none));
}
async function plugins() {
  open = null; view = plugins; later();
  const found = await (await fetch("plugins")).json();
  if (view !== plugins) return;
  detail.replaceChildren();
  for (const { name, metrics, shared_data, queues } of found.filters) {
    put(detail, titled(name, table("Metrics", metrics, "The filter has no metrics."), table("Shared data", shared_data, "No shared data."),
      table("Queues", queues.map(queue => [queue.name, queue.items.length + " items" + queue.items.map(item => "\n" + item).join("")]), "No queues.")));
  }
  const time = event => new Date(event.time).toLocaleTimeString();
  put(detail, titled("Ticks, callouts and log of the plugins", found.events.length ? eventList(found.events.toReversed(), time) : node("p", "", "Nothing yet.")));
}

// Where the exchanges come from.

function follow() {
  byId("plugins").hidden = false; byId("plugins").onclick = plugins;
  const source = new EventSource("events"), live = text => { state.dataset.live = text; later(); };
  source.onopen = () => live("live"); source.onerror = () => live("disconnected");
  source.addEventListener("exchanges", message => {
    summaries.clear(); order = []; shown = [];
    JSON.parse(message.data).forEach(add);
  });
  source.addEventListener("exchange", message => {
    const one = JSON.parse(message.data);
    add(one);
    if (replayed !== null && one.replay_of === replayed) { replayed = null; show(one.id); }
    else if (one.id === open) show(open);
  });
  source.addEventListener("reload", message => live(JSON.parse(message.data)));
  setInterval(() => {
    if (view && !document.hidden) view();
    else if (open && summaries.get(open)?.in_flight && byId("replay")?.hidden) show(open);
  }, 1000);
}
if (DATA) {
  DATA.forEach((exchange, index) => add({ ...exchange, id: index + 1, search: JSON.stringify(exchange).toLowerCase() }));
  if (DATA.length) show(1);
} else follow();
