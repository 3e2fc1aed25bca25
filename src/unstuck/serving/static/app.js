// The live page. Whatever comes from a run is put in as text, never as markup.
"use strict";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c6bb1", "#a65628", "#4d4d4d", "#e7298a", "#1b9e77", "#7570b3"];
const COLOURS_IN_THE_DARK = ["#56a8e8", "#ff9a4d", "#3ccf9f", "#e79bc9", "#e0b84c", "#9ad3f5", "#b79be0", "#d08f63", "#b8bec6", "#ff7dbb", "#62d0a8", "#a9a5ee"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const MOST_CHOSEN = 12;
const MOST_POINTS = 2400;
const MOST_BANDS = 6;
const ROWS = 100;
const UNREAD = "not read yet";
const $ = (id) => document.getElementById(id);
const phrases = JSON.parse($("words").textContent);
// What the page says, in the language of its reader; the holes "{0}" are filled with what follows.
const say = (text, ...values) => (phrases[text] ?? text).replace(/\{(\d+)\}/g, (_, hole) => values[hole]);
const state = { items: [], chosen: [], runs: new Map(), source: null, charts: new Map(), layers: "", log: false, drawing: 0, picked: false, most: { runs: ROWS, reports: ROWS } };

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function ago(seconds) {
  const gone = Math.max(0, Date.now() / 1000 - seconds);
  if (gone < 60) return say("{0} s ago", Math.round(gone));
  if (gone < 3600) return say("{0} min ago", Math.round(gone / 60));
  if (gone < 172800) return say("{0} h ago", Math.round(gone / 3600));
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

const colourOf = (key) => (dark.matches ? COLOURS_IN_THE_DARK : COLOURS)[Math.max(0, state.chosen.indexOf(key)) % COLOURS.length];
const nameOf = (key) => (state.items.find((item) => item.key === key) || {}).name || key;

// The lists -------------------------------------------------------------------------------------------------------

function showLists() {
  const wanted = $("filter").value.toLowerCase();
  const fits = (item) => `${item.name || ""} ${item.file} ${item.sentence}`.toLowerCase().includes(wanted);
  const runs = state.items.filter((item) => item.kind === "run").sort((a, b) => (b.created || b.modified) - (a.created || a.modified));
  const reports = state.items.filter((item) => item.kind === "report").sort((a, b) => b.modified - a.modified);
  $("runs-title").textContent = say("Runs ({0})", runs.length);
  $("reports-title").textContent = say("Reports ({0})", reports.length);
  fill($("runs"), rows("runs", runs.filter(fits), runRow), runs.length ? "" : say("No run has been recorded here."));
  fill($("reports"), rows("reports", reports.filter(fits), reportRow), reports.length ? "" : say("No report has been saved here."));
}

// A page of rows, what is on the screen among them; more are laid out when asked for.
function rows(kind, items, row) {
  const shown = items.slice(0, state.most[kind]);
  const rest = items.slice(state.most[kind]);
  const made = [...shown, ...rest.filter((item) => state.chosen.includes(item.key))].map(row);
  if (rest.length) made.push(moreRow(kind, rest.length));
  return made;
}

const moreRows = new Map();

function moreRow(kind, left) {
  if (!moreRows.has(kind)) {
    const button = element("button");
    button.type = "button";
    button.addEventListener("click", () => { state.most[kind] += ROWS; showLists(); });
    const made = element("li", undefined, "more");
    made.append(button);
    moreRows.set(kind, made);
  }
  put(moreRows.get(kind).firstChild, say("Show more ({0} left)", left));
  return moreRows.get(kind);
}

// Rows stay the same elements while they are told anew, so that a click is never lost between two of them.
function fill(list, rows, otherwise) {
  const wanted = rows.length || !otherwise ? rows : [element("li", otherwise, "dim")];
  if (list.children.length === wanted.length && wanted.every((row, at) => list.children[at] === row)) return;
  list.replaceChildren(...wanted);
}

const rowsOf = new Map();

function put(part, text, className) {
  if (part.textContent !== text) part.textContent = text;
  if (className !== undefined && part.className !== className) part.className = className;
}

function runRow(item) {
  let parts = rowsOf.get(item.key);
  if (!parts) {
    parts = { row: element("li", undefined, "run"), box: element("input"), swatch: element("span", undefined, "swatch"), name: element("span", "", "name"), status: element("span", ""), about: element("span", "", "about") };
    const label = element("label");
    parts.box.type = "checkbox";
    parts.box.addEventListener("change", () => choose(item.key, parts.box.checked));
    parts.swatch.setAttribute("aria-hidden", "true");
    label.append(parts.box, parts.swatch, parts.name, parts.status, parts.about);
    parts.row.append(label);
    rowsOf.set(item.key, parts);
  }
  parts.box.checked = state.chosen.includes(item.key);
  parts.box.disabled = item.status === undefined;
  parts.swatch.style.background = parts.box.checked ? colourOf(item.key) : "transparent";
  put(parts.name, item.name || item.file);
  put(parts.status, item.status === "running" ? say("still running") : say(item.status || "unreadable"), `status ${item.status === UNREAD ? "unread" : item.status || "crashed"}`);
  const when = ago(item.modified);
  const about = item.last_step < 0 ? say("no step yet, {0}", when) : say("step {0}, {1}", item.last_step, when);
  put(parts.about, item.status === UNREAD ? when : item.status ? about : item.sentence);
  return parts.row;
}

function reportRow(item) {
  let parts = rowsOf.get(item.key);
  if (!parts) {
    parts = { row: element("li", undefined, "report"), link: element("a", ""), about: element("span", "", "about") };
    parts.link.href = `/report/${item.key}`;
    parts.link.target = "_blank";
    parts.link.rel = "noopener";
    parts.row.append(parts.link, parts.about);
    rowsOf.set(item.key, parts);
  }
  put(parts.link, item.sentence || item.file);
  put(parts.about, `${item.file}, ${ago(item.modified)}`);
  return parts.row;
}

function choose(key, wanted) {
  state.picked = true;
  state.chosen = state.chosen.filter((each) => each !== key);
  if (wanted) state.chosen = [...state.chosen, key].slice(-MOST_CHOSEN);
  chosenChanged();
}

function chosenChanged() {
  for (const key of state.runs.keys()) if (!state.chosen.includes(key)) state.runs.delete(key);
  history.replaceState(null, "", state.chosen.length ? `#${state.chosen.join(",")}` : "#");
  showLists();
  listen();
  draw();
}

// What is told -----------------------------------------------------------------------------------------------------

function listen() {
  if (state.source) state.source.close();
  const query = new URLSearchParams(state.chosen.map((key) => ["run", key]));
  if (state.layers) query.set("layers", state.layers);
  const source = new EventSource(`/api/events?${query}`);
  state.source = source;
  source.addEventListener("open", () => connection("live", say("live")));
  source.addEventListener("error", () => connection("lost", say("not connected: is `unstuck serve` still running?")));
  source.addEventListener("list", (event) => {
    const { anew, items, gone } = JSON.parse(event.data);
    const left = new Set([...gone, ...items.map((item) => item.key)]);
    state.items = (anew ? [] : state.items.filter((item) => !left.has(item.key))).concat(items);
    const runs = state.items.filter((item) => item.kind === "run" && item.status && item.status !== UNREAD);
    if (!state.picked && !state.chosen.length && runs.length) {
      const newest = runs.sort((a, b) => (b.status === "running") - (a.status === "running") || b.created - a.created)[0];
      state.chosen = [newest.key];
      chosenChanged();
      return;
    }
    showLists();
  });
  source.addEventListener("run", (event) => {
    const news = JSON.parse(event.data);
    if (state.chosen.includes(news.key)) merge(news);
  });
}

function connection(kind, text) {
  $("state").className = kind;
  $("state").textContent = text;
}

function merge(news) {
  let run = state.runs.get(news.key);
  if (news.problem) {
    state.runs.set(news.key, { ...(run || { curves: new Map(), epochs: [], notices: [] }), problem: news.problem });
    draw();
    return;
  }
  if (!run || news.anew) run = { curves: new Map(), epochs: [], notices: [] };
  for (const [name, layer, steps, values, low, high, lost] of news.curves) {
    const key = JSON.stringify([name, layer]);
    const curve = run.curves.get(key) || { name, layer, steps: [], values: [], low: [], high: [], lost: null };
    let end = curve.steps.length;
    while (end > 0 && curve.steps[end - 1] >= steps[0]) end -= 1;
    curve.steps = curve.steps.slice(0, end).concat(steps);
    curve.values = curve.values.slice(0, end).concat(values);
    curve.low = curve.low.slice(0, end).concat(low || values);
    curve.high = curve.high.slice(0, end).concat(high || values);
    if (curve.lost === null) curve.lost = lost;
    if (curve.steps.length > MOST_POINTS) evened(curve);
    run.curves.set(key, curve);
  }
  run.epochs = run.epochs.concat(news.epochs);
  run.notices = run.notices.concat(news.notices);
  Object.assign(run, { status: news.status, error: news.error, settings: news.settings, perLayer: news.per_layer, problem: "" });
  state.runs.set(news.key, run);
  draw();
}

// Even stretches of steps become one point each: their mean, the lowest low and the highest high.
function evened(curve) {
  const first = curve.steps[0], width = (curve.steps[curve.steps.length - 1] + 1 - first) / (MOST_POINTS / 2);
  const stretches = new Map();
  curve.steps.forEach((step, at) => {
    const place = Math.floor((step - first) / width);
    stretches.set(place, [...(stretches.get(place) || []), at]);
  });
  const over = (values, how) => [...stretches.values()].map((places) => {
    const known = places.map((at) => values[at]).filter((value) => value !== null);
    return known.length ? how(known) : null;
  });
  const values = over(curve.values, (known) => known.reduce((a, b) => a + b) / known.length);
  const low = over(curve.low, (known) => Math.min(...known)), high = over(curve.high, (known) => Math.max(...known));
  const steps = [...stretches.values()].map((places) => curve.steps[places[0]]);
  Object.assign(curve, { steps, values, low, high });
}

// The curves --------------------------------------------------------------------------------------------------------

const words = (name) => say(name.replaceAll("_", " "));

// Chart title → lines. Losses share a chart, so that training and validation are seen together.
function wantedCharts() {
  const charts = new Map();
  const put = (title, line) => charts.set(title, [...(charts.get(title) || []), line]);
  for (const key of state.chosen) {
    const run = state.runs.get(key);
    if (!run) continue;
    const prefix = state.chosen.length > 1 ? `${nameOf(key)}: ` : "";
    const recorded = new Set();
    for (const curve of run.curves.values()) {
      if (curve.layer) continue;
      recorded.add(curve.name);
      const title = curve.name.includes("loss") ? "loss" : curve.name;
      put(title, { label: prefix + words(curve.name), colour: colourOf(key), dashed: title === "loss" && curve.name !== "loss", curve });
    }
    const measured = new Set(run.epochs.flatMap(([, , values]) => Object.keys(values)));
    for (const name of measured) {
      if (recorded.has(name) || name === "training_loss") continue;
      const points = run.epochs.filter(([, , values]) => name in values);
      const curve = { name, layer: "", steps: points.map(([, step]) => step), values: points.map(([, , values]) => values[name]), lost: null };
      curve.low = curve.high = curve.values;
      put(name.includes("loss") ? "loss" : name, { label: prefix + words(name), colour: colourOf(key), dashed: name.includes("loss"), curve });
    }
  }
  const first = state.runs.get(state.chosen[0]);
  if (first && state.layers) {
    const layers = [...first.curves.values()].filter((curve) => curve.layer && curve.name === state.layers);
    layers.forEach((curve, place) => {
      const hue = 250 - (220 * place) / Math.max(1, layers.length - 1);
      put("layers", { label: curve.layer, colour: `hsl(${hue} 65% 50%)`, dashed: false, curve });
    });
  }
  return charts;
}

function titleOf(title) {
  if (title !== "layers") return words(title);
  const name = words(state.layers);
  if (state.chosen.length < 2) return say("{0} per layer, first layer blue, last layer red", name);
  return say("{0} per layer of {1}, first layer blue, last layer red", name, nameOf(state.chosen[0]));
}

function draw() {
  if (!state.drawing) state.drawing = requestAnimationFrame(() => { state.drawing = 0; drawNow(); });
}

function drawNow() {
  const charts = wantedCharts();
  const order = [...charts.keys()].sort((a, b) => (b === "loss") - (a === "loss") || (a === "layers") - (b === "layers"));
  for (const [title, chart] of state.charts) if (!charts.has(title)) { chart.plot.destroy(); chart.watcher.disconnect(); chart.figure.remove(); state.charts.delete(title); }
  for (const title of order) drawChart(title, charts.get(title));
  for (const title of order) $("charts").append(state.charts.get(title).figure);
  $("nothing").hidden = state.chosen.length > 0;
  $("tools").hidden = !state.chosen.length;
  showNotices();
  showSettings();
  showLayers();
}

function style(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function drawChart(title, lines) {
  const banded = title !== "layers" && lines.length <= MOST_BANDS;
  const seen = (values) => (state.log ? values.map((value) => (value === null || value > 0 ? value : undefined)) : values);
  const data = uPlot.join(lines.map((line) => [line.curve.steps, ...(banded ? [line.curve.values, line.curve.high, line.curve.low] : [line.curve.values]).map(seen)]));
  const shape = JSON.stringify([state.log, style("--ink"), titleOf(title), banded, lines.map((line) => [line.label, line.colour])]);
  let chart = state.charts.get(title);
  if (chart && chart.shape === shape) {
    chart.plot.setData(data, !chart.zoomed());
  } else {
    if (chart) { chart.plot.destroy(); chart.watcher.disconnect(); }
    chart = newChart(title, lines, data, banded, shape, chart ? chart.figure : element("figure"));
    state.charts.set(title, chart);
  }
  const notes = lines.filter((line) => line.curve.lost !== null).map((line) => say("{0}: not finite, first near step {1}", line.label, line.curve.lost));
  chart.note.textContent = notes.slice(0, 4).join("; ") + (notes.length > 4 ? say(" and {0} more", notes.length - 4) : "");
  const last = lines.map((line) => `${line.label} ${number(line.curve.values[line.curve.values.length - 1])}`);
  chart.place.setAttribute("aria-label", say("{0} over steps; at the end: {1}", titleOf(title), last.slice(0, 12).join(", ")));
}

function number(value) {
  if (value === null || value === undefined) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

// The last value of a line; what other lines alone have a step for is undefined.
function lastOf(values) {
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== undefined) return values[at];
  return undefined;
}

function newChart(title, lines, data, banded, shape, figure) {
  figure.className = title === "layers" ? "wide" : "";
  const place = element("div", undefined, "plot");
  place.setAttribute("role", "img");
  const note = element("p");
  const nearest = element("p", title === "layers" ? say("Point at a line to see which layer it is.") : "", "nearest");
  figure.replaceChildren(element("figcaption", titleOf(title)), place, nearest, note);
  $("charts").append(figure);
  const axis = { stroke: style("--dim"), grid: { stroke: style("--edge"), width: 1 }, ticks: { stroke: style("--edge") }, font: "12px system-ui, sans-serif" };
  const plot = new uPlot({
    width: Math.max(240, place.clientWidth), height: 250,
    scales: { x: { time: false }, y: { distr: state.log ? 3 : 1 } },
    axes: [{ ...axis, size: 34 }, { ...axis, size: 66, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) }],
    legend: { show: lines.length <= 24 },
    cursor: { drag: { x: true, y: false }, focus: { prox: title === "layers" ? 30 : -1 } },
    focus: { alpha: 0.2 },
    hooks: title === "layers" ? { setSeries: [(all, at) => { if (at) nearest.textContent = all.series[at].label; }] } : {},
    series: [{ label: say("step"), value: (all, step) => String(step ?? all.data[0][all.data[0].length - 1] ?? "") }, ...lines.flatMap((line) => [{
      label: line.label, stroke: line.colour, width: 1.5, dash: line.dashed ? [6, 4] : undefined, points: { show: line.curve.steps.length < 3 },
      value: (all, value, series, at) => { const shown = at === null || at === undefined ? lastOf(all.data[series]) : value; return shown === undefined ? "" : number(shown); },
    }, ...(banded ? ["highest", "lowest"].map((end) => ({ label: `${line.label}, ${end}`, class: "end", width: 0, stroke: "transparent", points: { show: false } })) : [])])],
    bands: banded ? lines.map((line, place) => ({ series: [3 * place + 2, 3 * place + 3], fill: `${line.colour}38` })) : [],
  }, data, place);
  const zoomed = () => { const { min, max } = plot.scales.x; const steps = plot.data[0]; return steps.length > 1 && (min > steps[0] || max < steps[steps.length - 1]) && chart.touched; };
  const chart = { plot, figure, place, note, shape, zoomed, touched: false, watcher: null };
  plot.over.addEventListener("mousedown", () => { chart.touched = true; });
  plot.over.addEventListener("dblclick", () => { chart.touched = false; });
  chart.watcher = new ResizeObserver(() => { if (place.clientWidth && Math.abs(place.clientWidth - plot.width) > 1) plot.setSize({ width: Math.max(240, place.clientWidth), height: 250 }); });
  chart.watcher.observe(place);
  return chart;
}

// Findings, settings, layers -------------------------------------------------------------------------------------

function showNotices() {
  const rows = [];
  for (const key of state.chosen) {
    const run = state.runs.get(key);
    if (!run) continue;
    const who = state.chosen.length > 1 ? `${nameOf(key)}: ` : "";
    if (run.problem) rows.push(noticeRow("severe", who + say("the record cannot be read"), run.problem));
    if (run.status === "crashed") rows.push(noticeRow("severe", who + say("the run ended before its time"), run.error));
    for (const [step, code, name, severity, sentence] of [...run.notices].reverse()) rows.push(noticeRow(severity, who + say("step {0}: {1} {2}", step, code, name), sentence));
  }
  $("found").hidden = !rows.length;
  $("notices").replaceChildren(...rows);
}

function noticeRow(severity, head, text) {
  const row = element("li", undefined, severity === "severe" ? "severe" : "");
  row.append(element("div", head, "head"), element("div", text));
  return row;
}

function showSettings() {
  const shown = state.chosen.filter((key) => state.runs.has(key) && state.runs.get(key).settings);
  const names = [...new Set(shown.flatMap((key) => Object.keys(state.runs.get(key).settings)))];
  const several = shown.length > 1;
  const differs = (name) => new Set(shown.map((key) => state.runs.get(key).settings[name])).size > 1;
  const rows = names.filter((name) => !several || !$("only").checked || differs(name));
  $("compare").hidden = !names.length;
  $("differing").hidden = !several;
  const head = element("tr");
  const corner = element("th", say("setting"));
  corner.scope = "col";
  head.append(corner, ...shown.map((key) => { const cell = element("th", nameOf(key)); cell.scope = "col"; cell.style.color = several ? colourOf(key) : ""; return cell; }));
  const body = rows.map((name) => {
    const row = element("tr");
    const label = element("th", name);
    label.scope = "row";
    row.append(label, ...shown.map((key) => element("td", state.runs.get(key).settings[name] ?? "–")));
    return row;
  });
  if (several && !rows.length) { const row = element("tr"); const cell = element("td", say("Nothing differs."), "dim"); cell.colSpan = shown.length + 1; row.append(cell); body.push(row); }
  $("settings").replaceChildren(head, ...body);
}

function showLayers() {
  const first = state.runs.get(state.chosen[0]);
  const names = first && first.perLayer ? first.perLayer : [];
  const options = ["", ...names];
  const now = [...$("layers").options].map((option) => option.value);
  if (JSON.stringify(now) === JSON.stringify(options)) return;
  $("layers").replaceChildren(...options.map((name) => { const option = element("option", name ? words(name) : say("none")); option.value = name; return option; }));
  $("layers").value = names.includes(state.layers) ? state.layers : "";
}

$("filter").addEventListener("input", showLists);
$("only").addEventListener("change", showSettings);
$("log").addEventListener("change", () => { state.log = $("log").checked; draw(); });
$("layers").addEventListener("change", () => { state.layers = $("layers").value; listen(); draw(); });
dark.addEventListener("change", () => { showLists(); draw(); });
setInterval(showLists, 5000);
state.chosen = location.hash.slice(1).split(",").filter((key) => /^[0-9a-f]{18}$/.test(key)).slice(0, MOST_CHOSEN);
state.picked = state.chosen.length > 0;
fetch("/api/list").then((answer) => answer.json()).then((answer) => { $("folder").textContent = answer.folder; });
listen();
draw();
