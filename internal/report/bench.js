"use strict";
(() => {
  const problems = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const svgSpace = $("plot").namespaceURI;

  // The columns of a run that the axes can show.
  const across = {
    time: "time (s)",
    samples: "samples visited",
    gradients: "gradient calls",
    steps: "steps",
  };
  const up = {
    suboptimality: { label: "suboptimality h − h*", log: true },
    gradnorm: { label: "‖∇h‖²", log: true },
    error: { label: "test error", log: false },
    kkt: { label: "KKT loss", log: true },
  };
  const colours = 7, dashes = 5;
  const gridPoints = 160;
  // More curves than this are too many to begin with: the best of each method is shown.
  const mostCurves = 18;
  const mostRows = 20;
  const fewSeeds = 10;

  // What the reader chose; all of it is in the address. A null is a choice left to the page.
  const initial = () => ({
    problem: 0, x: "time", y: "suboptimality", xlog: true, ylog: null,
    chosen: new Map(), // by curve: whether it is shown
    levels: null, sort: null,
  });
  let state = initial();

  // Text.

  const minus = "−", unknown = "–";
  const signed = (s) => s.replace("e+", "e").replace("Infinity", "∞").replaceAll("-", minus);
  const grouped = (s) => s.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

  function number(v, digits) {
    const a = Math.abs(v);
    if (Number.isNaN(v)) return unknown;
    if (a === Infinity) return signed(String(v));
    if (v === 0) return "0";
    if (a >= 1e5 || a < 1e-4) return signed(v.toExponential(digits - 1));
    const decade = Number(v.toExponential(digits - 1).split("e")[1]);
    return signed(grouped(v.toFixed(Math.max(digits - 1 - decade, 0))));
  }

  // duration has the unit that leaves few zeros.
  function duration(seconds) {
    if (seconds === 0 || seconds >= 0.9995) return number(seconds, 3) + " s";
    return seconds >= 0.9995e-3 ? number(1e3 * seconds, 3) + " ms" : number(1e6 * seconds, 3) + " µs";
  }

  const power = (k) => "10" + [...String(k)].map((c) => c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("");
  const counted = (n, singular) => grouped(String(n)) + " " + singular + (n === 1 ? "" : "s");
  const nameOf = (curve) => curve.params ? curve.method + " " + curve.params : curve.method;

  function element(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
    e.append(...children);
    return e;
  }

  function drawn(tag, attributes, text) {
    const e = document.createElementNS(svgSpace, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    return e;
  }

  const lineClass = (curve) => "c" + curve.style % colours + " d" + Math.floor(curve.style / colours) % dashes;

  function swatch(curve) {
    const s = drawn("svg", { class: "swatch " + lineClass(curve).split(" ")[0], viewBox: "0 0 34 10", "aria-hidden": "true" });
    s.append(drawn("line", { class: lineClass(curve), x1: 0, x2: 34, y1: 5, y2: 5 }));
    return s;
  }

  // Statistics.

  // quantile interpolates between the order statistics around (n − 1) p; sorted may end in infinities.
  function quantile(sorted, p) {
    const at = (sorted.length - 1) * p, below = Math.floor(at), share = at - below;
    if (share < 1e-12) return sorted[below];
    const lo = sorted[below], hi = sorted[below + 1];
    return hi === Infinity ? Infinity : lo + share * (hi - lo);
  }

  const ascending = (a, b) => a < b ? -1 : a > b ? 1 : 0;

  // curveOn is the median and the band of curve at the positions of grid, in the order of grid, from where
  // every run has a value to where the last one ends.
  function curveOn(curve, x, y, grid) {
    let start = -Infinity, end = -Infinity;
    const runs = [];
    for (const run of curve.runs) {
      const xs = run[x], values = run[y];
      const known = [];
      if (values) values.forEach((v, i) => { if (v !== null) known.push(i); });
      if (known.length > 0) {
        start = Math.max(start, xs[known[0]]);
        end = Math.max(end, xs[xs.length - 1]);
      } else if (run.done) {
        continue;
      }
      // A run that is not done is infinite after its last record.
      const last = run.done ? Infinity : xs.length > 0 ? xs[xs.length - 1] : -Infinity;
      runs.push({ xs, values, known, last, next: 0 });
    }
    const points = [];
    if (end === -Infinity) return points;
    for (const at of grid) {
      if (at < start || at > end) continue;
      const now = [];
      for (const r of runs) {
        while (r.next < r.known.length && r.xs[r.known[r.next]] <= at) r.next++;
        now.push(r.next === 0 || at > r.last ? Infinity : r.values[r.known[r.next - 1]]);
      }
      now.sort(ascending);
      points.push({ x: at, median: quantile(now, 0.5), lo: quantile(now, 0.2), hi: quantile(now, 0.8), n: now.length });
    }
    return points;
  }

  // gridOf spans all runs of a problem, evenly on the axis, so that curves stay as they are when others are
  // switched off.
  function gridOf(problem, x, log) {
    let lo = Infinity, hi = 0;
    for (const curve of problem.curves) {
      for (const run of curve.runs) {
        for (const v of run[x] || []) {
          if (v > 0) lo = Math.min(lo, v);
          hi = Math.max(hi, v);
        }
      }
    }
    if (!(hi > 0)) return [];
    if (!log) lo = 0;
    if (lo === hi) return [hi];
    const grid = [];
    for (let i = 0; i < gridPoints; i++) {
      const share = i / (gridPoints - 1);
      grid.push(log ? lo * (hi / lo) ** share : share * hi);
    }
    grid[0] = lo;
    grid[gridPoints - 1] = hi; // exactly: the last records count
    return grid;
  }

  // reach is the position of the first record at or below level, infinite if there is none.
  function reach(run, x, level) {
    const values = run.suboptimality || [];
    const i = values.findIndex((v) => v !== null && v <= level);
    return i < 0 ? Infinity : run[x][i];
  }

  function target(curve, level) {
    const of = (x) => quantile(curve.runs.map((run) => reach(run, x, level)).sort(ascending), 0.5);
    const reached = curve.runs.filter((run) => reach(run, "time", level) < Infinity).length;
    return { time: of("time"), samples: of("samples"), reached, runs: curve.runs.length };
  }

  const ends = (run) => {
    const known = (run.suboptimality || []).filter((v) => v !== null);
    return run.done && known.length > 0 ? known[known.length - 1] : Infinity;
  };
  const finalValue = (curve) => quantile(curve.runs.map(ends).sort(ascending), 0.5);

  // Choices.

  const problemNow = () => problems[state.problem];
  const hasAcross = (problem, x) => problem.curves.some((c) => c.runs.some((r) => r[x] && r[x][r[x].length - 1] > 0));
  const hasUp = (problem, y) => problem.curves.some((c) => c.runs.some((r) => r[y]));
  // chosenOr is the reader's choice where this problem has data for it.
  const chosenOr = (choice, options, has) => has(problemNow(), choice) ? choice : Object.keys(options).find((k) => has(problemNow(), k)) || choice;
  const xNow = () => chosenOr(state.x, across, hasAcross);
  const yNow = () => chosenOr(state.y, up, hasUp);
  const ylogNow = () => state.ylog === null ? up[yNow()].log : state.ylog;
  const keyOf = (curve) => JSON.stringify([curve.method, curve.params]);

  // bestOf holds the curve of each method that ends lowest.
  function bestOf(problem) {
    const best = new Map();
    for (const curve of problem.curves) {
      const old = best.get(curve.method);
      if (!old || finalValue(curve) < finalValue(old)) best.set(curve.method, curve);
    }
    return new Set(best.values());
  }
  const several = (problem) => new Set(problem.curves.map((c) => c.method)).size < problem.curves.length;

  const defaults = new Map(); // by problem: the curves shown before the reader chose
  function shownByDefault(problem) {
    if (!defaults.has(problem)) {
      const few = problem.curves.length <= mostCurves || !several(problem);
      defaults.set(problem, few ? new Set(problem.curves) : bestOf(problem));
    }
    return defaults.get(problem);
  }
  function isShown(curve) {
    const chosen = state.chosen.get(keyOf(curve));
    return chosen === undefined ? shownByDefault(problemNow()).has(curve) : chosen;
  }

  // A level of two decades or so where the runs span many; the last one is reached by the best curve.
  function defaultLevels(problem) {
    let first = 0, last = Infinity;
    for (const curve of problem.curves) {
      last = Math.min(last, finalValue(curve));
      for (const run of curve.runs) {
        const start = (run.suboptimality || []).find((v) => v !== null);
        if (start < Infinity) first = Math.max(first, start);
      }
    }
    if (!(first > 0)) return [];
    const hi = Math.ceil(Math.log10(first)) - 1;
    const lo = last > 0 && last < Infinity ? Math.min(Math.ceil(Math.log10(last)), hi) : hi - 3;
    const step = Math.max(1, Math.ceil((hi - lo) / 4));
    const levels = [];
    for (let k = lo; k <= hi && levels.length < 4; k += step) levels.unshift(Number("1e" + k));
    return levels;
  }
  const levelsNow = () => state.levels || defaultLevels(problemNow());

  // parseLevels is null for text that is no list of positive numbers.
  function parseLevels(text) {
    const parts = text.split(/[\s,;]+/).filter((s) => s !== "");
    const levels = parts.map(Number);
    return levels.length > 0 && levels.length <= 12 && levels.every((v) => v > 0 && v < Infinity) ? levels : null;
  }

  // The address.

  const levelText = (v) => v >= 1e-2 && v < 1e4 ? String(v) : v.toExponential().replace("e+", "e");

  function address() {
    const q = new URLSearchParams();
    const was = initial();
    if (state.problem !== was.problem) q.set("problem", problemNow().name);
    if (state.x !== was.x) q.set("x", state.x);
    if (state.y !== was.y) q.set("y", state.y);
    if (!state.xlog) q.set("xlog", "0");
    if (state.ylog !== null) q.set("ylog", state.ylog ? "1" : "0");
    for (const curve of problemNow().curves) {
      if (isShown(curve) !== shownByDefault(problemNow()).has(curve)) q.append(isShown(curve) ? "on" : "off", keyOf(curve));
    }
    if (state.levels) q.set("levels", state.levels.map(levelText).join(","));
    if (state.sort !== null) q.set("sort", state.sort);
    return q.toString();
  }

  function readAddress() {
    const q = new URLSearchParams(location.hash.slice(1));
    state = initial();
    const problem = problems.findIndex((p) => p.name === q.get("problem"));
    if (problem >= 0) state.problem = problem;
    if (q.get("x") in across) state.x = q.get("x");
    if (q.get("y") in up) state.y = q.get("y");
    state.xlog = q.get("xlog") !== "0";
    if (q.has("ylog")) state.ylog = q.get("ylog") !== "0";
    for (const key of q.getAll("on")) state.chosen.set(key, true);
    for (const key of q.getAll("off")) state.chosen.set(key, false);
    state.levels = parseLevels(q.get("levels") || "");
    const sort = Number(q.get("sort"));
    if (q.has("sort") && sort >= 0 && sort < levelsNow().length) state.sort = Math.floor(sort);
  }

  let written = "";
  function writeAddress() {
    written = address();
    if (written !== location.hash.slice(1)) history.replaceState(null, "", "#" + written);
  }

  // Scales and ticks.

  function fit(lo, hi, log) {
    if (log) {
      const ratio = hi < lo * 1.01 ? 2 : (hi / lo) ** 0.03;
      return { lo: lo / ratio, hi: hi * ratio, log };
    }
    let room = (hi - lo) * 0.04;
    if (!(hi - lo > 1e-9 * Math.max(Math.abs(lo), Math.abs(hi)))) room = Math.max(Math.abs(lo), Math.abs(hi)) / 20 || 1;
    // Nothing that is never negative needs an axis below zero.
    return { lo: lo >= 0 ? Math.max(lo - room, 0) : lo - room, hi: hi + room, log };
  }

  function at(s, v) {
    const share = s.log ? (Math.log(v) - Math.log(s.lo)) / (Math.log(s.hi) - Math.log(s.lo)) : (v - s.lo) / (s.hi - s.lo);
    return s.from + share * (s.to - s.from);
  }

  function niceStep(raw) {
    const unit = 10 ** Math.floor(Math.log10(raw));
    return unit * ([1, 2, 5].find((m) => raw <= m * unit * (1 + 1e-9)) || 10);
  }

  function stepLabel(v, step, largest) {
    if (v === 0) return "0";
    if (largest >= 1e6 || largest < 1e-3) {
      const digits = Math.floor(Math.log10(Math.abs(v)) + 1e-9) - Math.floor(Math.log10(step) + 1e-9);
      return signed(v.toExponential(Math.max(digits, 0)));
    }
    return signed(grouped(v.toFixed(Math.max(-Math.floor(Math.log10(step) + 1e-9), 0))));
  }

  // ticksOf returns about n ticks; those without a label are the steps between powers of ten.
  function ticksOf(s, n) {
    const ticks = [];
    if (s.log && s.hi / s.lo > 8) {
      const first = Math.ceil(Math.log10(s.lo) - 1e-9), last = Math.floor(Math.log10(s.hi) + 1e-9);
      const decades = last - first + 1, every = Math.ceil(decades / n);
      for (let k = first - 1; k <= last; k++) {
        for (let m = 1; m < 10; m++) {
          const v = m * Number("1e" + k);
          if (v < s.lo * (1 - 1e-9) || v > s.hi * (1 + 1e-9)) continue;
          let label = null;
          if (m === 1 && (k - first) % every === 0) label = decades > 2 ? power(k) : number(v, 1);
          else if (decades <= 2 && (m === 2 || m === 5)) label = number(v, 1);
          if (label !== null || m === 1 || decades <= 5) ticks.push({ v, label });
        }
      }
      return ticks;
    }
    const step = niceStep((s.hi - s.lo) / n), largest = Math.max(Math.abs(s.lo), Math.abs(s.hi));
    for (let i = Math.ceil(s.lo / step - 1e-9); i * step <= s.hi + 1e-9 * step; i++) {
      ticks.push({ v: i * step, label: stepLabel(i * step, step, largest) });
    }
    return ticks;
  }

  // The plot.

  let shown = []; // the curves drawn: {curve, points}
  let scales = null;
  let strong = null; // the curve brought forward

  // extentOf is the range that the curves need on the vertical axis. What rises far above where the curves
  // start is on its way to infinity and would press the rest into a line: it is cut.
  function extentOf(curves, log) {
    let lo = Infinity, hi = -Infinity, start = -Infinity;
    for (const { points } of curves) {
      const first = points.find((p) => Number.isFinite(p.median));
      if (first) start = Math.max(start, first.median);
      for (const p of points) {
        for (const v of [p.median, p.lo, p.hi]) {
          if (!Number.isFinite(v) || (log && v <= 0)) continue;
          lo = Math.min(lo, v);
          hi = Math.max(hi, v);
        }
      }
    }
    const top = start + (log ? 99 : 1) * Math.abs(start);
    if (hi > top && top > lo) hi = top;
    return { lo, hi };
  }

  // pathOf joins points, each [x, y] in pixels or null where the line breaks.
  function pathOf(points) {
    let d = "", pen = "M";
    for (const p of points) {
      if (p === null) { pen = "M"; continue; }
      d += pen + p[0].toFixed(2) + " " + p[1].toFixed(2);
      pen = "L";
    }
    return d;
  }

  function heightAt(v) {
    const s = scales.y;
    if (v === Infinity) return s.to - 20; // out of sight
    if (s.log && !(v > 0)) return s.from;
    return Math.max(Math.min(at(s, v), s.from + 20), s.to - 20);
  }

  function bandOf(points) {
    let d = "", run = [];
    const close = () => {
      if (run.length > 1) {
        const edge = (q) => run.map((p) => [at(scales.x, p.x), heightAt(p[q])]);
        d += pathOf([...edge("hi"), ...edge("lo").reverse()]) + "Z";
      }
      run = [];
    };
    for (const p of points) {
      if (Number.isFinite(p.lo)) run.push(p);
      else close();
    }
    close();
    return d;
  }

  function drawPlot() {
    const svg = $("plot"), problem = problemNow(), x = xNow(), y = yNow(), log = ylogNow();
    const width = Math.max(Math.round($("area").clientWidth), 240);
    const height = Math.round(Math.min(Math.max(width * 0.62, 260), 520));
    const grid = gridOf(problem, x, state.xlog);
    shown = [];
    for (const curve of problem.curves) {
      if (!isShown(curve)) continue;
      const points = curveOn(curve, x, y, grid);
      if (points.some((p) => Number.isFinite(p.median))) shown.push({ curve, points });
    }
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", `${up[y].label} against ${across[x]} on ${problem.name}: ` +
      (shown.map((s) => nameOf(s.curve)).join(", ") || "no curve"));
    scales = null;
    hideReadout();

    const { lo, hi } = extentOf(shown, log);
    if (!(hi >= lo)) {
      let words = "No method has data for these axes.";
      if (!problem.curves.some(isShown)) words = "No method is switched on.";
      else if (shown.length > 0) words = "No value is above zero: switch the vertical axis to linear.";
      svg.append(drawn("text", { class: "middle words", x: width / 2, y: height / 2 }, words));
      return;
    }
    let left = Infinity, right = 0;
    for (const { points } of shown) {
      left = Math.min(left, points[0].x);
      right = Math.max(right, points[points.length - 1].x);
    }
    scales = { x: fit(left, right, state.xlog), y: fit(lo, hi, log), width, height };
    // Time and counts begin and end at the frame.
    if (right > left) Object.assign(scales.x, { lo: left, hi: right });
    const top = 12, bottom = 48, glyph = 7.2;
    scales.y.from = height - bottom;
    scales.y.to = top;
    const yTicks = ticksOf(scales.y, Math.max(Math.floor(height / 48), 3));
    const widest = Math.max(0, ...yTicks.map((t) => t.label === null ? 0 : t.label.length));
    scales.x.from = 30 + glyph * widest;
    scales.x.to = width - 14;
    let xTicks = [];
    for (let n = Math.ceil(width / 70); n > 0; n--) {
      xTicks = ticksOf(scales.x, n);
      let end = -Infinity;
      const free = xTicks.every((t) => {
        if (t.label === null) return true;
        const half = glyph * t.label.length / 2, middle = at(scales.x, t.v), fits = middle - half > end + 6;
        end = middle + half;
        return fits;
      });
      if (free) break;
    }

    const { x: sx, y: sy } = scales;
    for (const t of yTicks) {
      const h = at(sy, t.v);
      svg.append(drawn("line", { class: t.label === null ? "minor" : "tick", x1: sx.from, x2: sx.to, y1: h, y2: h }));
      if (t.label !== null) svg.append(drawn("text", { class: "end ytick", x: sx.from - 6, y: h + 4 }, t.label));
    }
    for (const t of xTicks) {
      const w = at(sx, t.v);
      svg.append(drawn("line", { class: t.label === null ? "minor" : "tick", x1: w, x2: w, y1: sy.from, y2: sy.to }));
      if (t.label === null) continue;
      svg.append(drawn("line", { class: "axis", x1: w, x2: w, y1: sy.from, y2: sy.from + 5 }));
      const end = w + glyph * t.label.length / 2 > width;
      svg.append(drawn("text", { class: (end ? "end" : "middle") + " xtick", x: end ? width : w, y: sy.from + 19 }, t.label));
    }
    svg.append(drawn("line", { class: "axis", x1: sx.from, x2: sx.to, y1: sy.from, y2: sy.from }));
    svg.append(drawn("text", { class: "middle", x: (sx.from + sx.to) / 2, y: height - 8 }, across[x]));
    svg.append(drawn("text", { class: "middle", transform: `translate(13 ${(sy.from + sy.to) / 2}) rotate(-90)` }, up[y].label));

    const clip = drawn("clipPath", { id: "frame" });
    clip.append(drawn("rect", { x: sx.from, y: sy.to - 2, width: sx.to - sx.from, height: sy.from - sy.to + 3 }));
    const inside = drawn("g", { "clip-path": "url(#frame)" });
    for (const { curve, points } of shown) {
      if (points.some((p) => p.n > 1)) {
        inside.append(drawn("path", { class: "band " + lineClass(curve).split(" ")[0], d: bandOf(points), "data-curve": problem.curves.indexOf(curve) }));
      }
    }
    for (const { curve, points } of shown) {
      const line = points.map((p) => Number.isFinite(p.median) ? [at(sx, p.x), heightAt(p.median)] : null);
      inside.append(drawn("path", { class: "curve " + lineClass(curve), d: pathOf(line), "data-curve": problem.curves.indexOf(curve), "data-name": nameOf(curve) }));
    }
    svg.append(clip, inside, drawn("g", { id: "cursor" }));
    bringForward(strong);
  }

  // bringForward shows one curve before the others, or all alike for null.
  function bringForward(curve) {
    strong = shown.some((s) => s.curve === curve) ? curve : null;
    $("plot").classList.toggle("some", strong !== null);
    for (const path of $("plot").querySelectorAll("[data-curve]")) {
      path.classList.toggle("strong", strong !== null && Number(path.dataset.curve) === problemNow().curves.indexOf(strong));
    }
  }

  // Reading values off the plot.

  let cursor = null; // position on the grid that the readout shows

  function positions() {
    const all = new Set();
    for (const { points } of shown) for (const p of points) all.add(p.x);
    return [...all].sort(ascending);
  }

  function hideReadout() {
    cursor = null;
    $("readout").hidden = true;
    if ($("cursor")) $("cursor").replaceChildren();
    bringForward(null);
  }

  // showReadout lists the values of all curves at the position x, the one nearest to the height h in bold.
  function showReadout(x, h) {
    const rows = [];
    for (const { curve, points } of shown) {
      const p = points.find((q) => q.x === x);
      if (p) rows.push({ curve, p });
    }
    if (rows.length === 0) return hideReadout();
    cursor = x;
    rows.sort((a, b) => ascending(a.p.median, b.p.median));
    let nearest = null;
    for (const row of rows) {
      const away = Math.abs(heightAt(row.p.median) - h);
      if (Number.isFinite(row.p.median) && (nearest === null || away < nearest.away)) nearest = { row, away };
    }
    bringForward(nearest && nearest.away < 24 ? nearest.row.curve : null);

    const left = at(scales.x, x), marks = $("cursor"), box = $("readout");
    marks.replaceChildren(drawn("line", { class: "cursor", x1: left, x2: left, y1: scales.y.from, y2: scales.y.to }));
    const body = element("tbody");
    for (const { curve, p } of rows.slice(0, mostRows)) {
      const band = p.n > 1 ? `${number(p.lo, 3)} … ${number(p.hi, 3)}` : "";
      const row = element("tr", curve === strong ? { class: "strong" } : {},
        element("td", {}, swatch(curve)), element("td", { class: "name" }, element("bdi", {}, nameOf(curve))),
        element("td", { class: "number" }, number(p.median, 3)), element("td", {}, band));
      body.append(row);
      const height = heightAt(p.median);
      if (Number.isFinite(p.median) && height >= scales.y.to - 2) marks.append(drawn("circle", { class: "dot " + lineClass(curve).split(" ")[0], cx: left, cy: height, r: 4 }));
    }
    box.replaceChildren(element("p", {}, xNow() === "time" ? duration(x) : `${number(x, 3)} ${across[xNow()]}`), element("table", {}, body));
    if (rows.length > mostRows) box.append(element("p", {}, `and ${rows.length - mostRows} more`));
    box.hidden = false;
    const ratio = $("area").clientWidth / scales.width;
    const middle = left * ratio, room = $("area").clientWidth;
    const to = middle + 14 + box.offsetWidth <= room ? middle + 14 : Math.max(middle - 14 - box.offsetWidth, 0);
    box.style.transform = `translate(${to}px, ${Math.max(scales.y.to * ratio + 4, 0)}px)`;
  }

  function pointed(event) {
    if (!scales) return;
    const box = $("plot").getBoundingClientRect(), ratio = scales.width / box.width;
    const px = (event.clientX - box.left) * ratio, py = (event.clientY - box.top) * ratio;
    if (px < scales.x.from - 10 || px > scales.x.to + 10 || py > scales.y.from + 5) return hideReadout();
    let best = null;
    for (const x of positions()) {
      const away = Math.abs(at(scales.x, x) - px);
      if (best === null || away < best.away) best = { x, away };
    }
    if (best) showReadout(best.x, py);
  }

  function keyed(event) {
    if (!scales) return;
    const all = positions(), now = all.indexOf(cursor);
    const to = {
      ArrowRight: now < 0 ? 0 : Math.min(now + 1, all.length - 1),
      ArrowLeft: now < 0 ? all.length - 1 : Math.max(now - 1, 0),
      PageDown: Math.min(Math.max(now, 0) + 10, all.length - 1),
      PageUp: Math.max(now - 10, 0),
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (event.key === "Escape") hideReadout();
    if (to === undefined) return;
    event.preventDefault();
    showReadout(all[to], Infinity);
  }

  // Everything around the plot.

  function options(select, entries, value) {
    select.replaceChildren(...entries.map(([v, label, off]) => {
      const o = element("option", { value: v }, label);
      o.disabled = Boolean(off);
      return o;
    }));
    select.value = value;
  }

  function drawControls() {
    const problem = problemNow();
    options($("problem"), problems.map((p, i) => [String(i), p.name]), String(state.problem));
    $("choose-problem").hidden = problems.length < 2;
    options($("x"), Object.entries(across).map(([k, label]) => [k, label, !hasAcross(problem, k)]), xNow());
    options($("y"), Object.entries(up).map(([k, m]) => [k, m.label, !hasUp(problem, k)]), yNow());
    $("xlog").checked = state.xlog;
    $("ylog").checked = ylogNow();
    $("best").hidden = !several(problem);

    const x = xNow(), y = yNow(), log = state.xlog;
    const grid = gridOf(problem, x, log);
    const multiple = new Set(problem.curves.filter((c) => problem.curves.some((o) => o !== c && o.method === c.method)).map((c) => c.method));
    const items = [];
    const box = (curve, label, kind) => {
      const input = element("input", { type: "checkbox", "data-curve": problem.curves.indexOf(curve) });
      input.checked = isShown(curve);
      input.addEventListener("change", () => { state.chosen.set(keyOf(curve), input.checked); update(); });
      const text = element("bdi", {}, label);
      const line = element("label", { title: nameOf(curve) }, input, swatch(curve), text);
      const empty = !curveOn(curve, x, y, grid).some((p) => Number.isFinite(p.median));
      const lost = curve.runs.filter((r) => !r.done).length;
      if (lost > 0) line.append(element("small", {}, `${lost}/${curve.runs.length} failed`));
      else if (empty) line.append(element("small", {}, "no data"));
      const item = element("li", { class: [kind, empty ? "empty" : ""].join(" ").trim() }, line);
      item.addEventListener("mouseenter", () => bringForward(curve));
      item.addEventListener("mouseleave", () => bringForward(null));
      input.addEventListener("focus", () => { if (input.matches(":focus-visible")) bringForward(curve); });
      input.addEventListener("blur", () => bringForward(null));
      return item;
    };
    for (const method of new Set(problem.curves.map((c) => c.method))) {
      const curves = problem.curves.filter((c) => c.method === method);
      if (!multiple.has(method)) { items.push(box(curves[0], method, "single")); continue; }
      items.push(element("li", { class: "head" }, element("bdi", {}, method)));
      for (const curve of curves) items.push(box(curve, curve.params || "(no parameters)", "part"));
    }
    $("methods").replaceChildren(...items);
  }

  function seedsOf(curves) {
    const counts = curves.map((c) => c.runs.length);
    return { least: Math.min(...counts), most: Math.max(...counts) };
  }

  function drawCaption() {
    const problem = problemNow(), lines = [];
    if (shown.length > 0) {
      const { least, most } = seedsOf(shown.map((s) => s.curve));
      if (most > 1) lines.push(`Median over ${least === most ? "" : least + " to "}${counted(most, "seed")}; bands from the 20% to the 80% quantile. The value of a run is that of its last record so far.`);
      else lines.push("One seed for each method: no median, no band.");
      if (shown.some((s) => s.curve.runs.some((r) => !r.done))) lines.push("A run that diverged or failed counts as infinite from then on.");
      if (ylogNow() && shown.some((s) => s.points.some((p) => p.median <= 0))) lines.push("Values at or below zero lie on the lower edge.");
    }
    if (yNow() === "suboptimality" && problem.best !== null) {
      lines.push(`h* = ${signed(String(problem.best))}` + (problem.given ? "." : ", the lowest value of all runs less 1e" + minus + "10."));
    }
    $("caption").replaceChildren(element("p", { class: "caption" }, lines.join(" ")));
  }

  function drawTargets() {
    const problem = problemNow(), levels = levelsNow(), table = $("targets");
    if (document.activeElement !== $("levels")) $("levels").value = levels.map(levelText).join(", ");
    table.replaceChildren();
    $("targets-note").replaceChildren();
    const curves = problem.curves.filter(isShown);
    if (!hasUp(problem, "suboptimality") || levels.length === 0) {
      $("targets-note").append(element("p", {}, "No run has values."));
      return;
    }
    const rows = curves.map((curve) => ({ curve, cells: levels.map((level) => target(curve, level)) }));
    if (state.sort !== null && state.sort < levels.length) {
      rows.sort((a, b) => {
        const [p, q] = [a.cells[state.sort], b.cells[state.sort]];
        return ascending(p.time, q.time) || q.reached / q.runs - p.reached / p.runs;
      });
    }
    const head = element("tr", {}, element("th", { scope: "col" }, "Method"));
    levels.forEach((level, i) => {
      const button = element("button", { type: "button", title: "sort by the time to this level" }, "h − h* ≤ " + signed(levelText(level)));
      button.addEventListener("click", () => {
        state.sort = state.sort === i ? null : i;
        update();
        $("targets").querySelectorAll("thead button")[i].focus();
      });
      const th = element("th", { scope: "col", class: "number" }, button);
      if (state.sort === i) th.setAttribute("aria-sort", "ascending");
      head.append(th);
    });
    table.append(element("caption", { class: "hidden" }, "Median time, median samples and share of seeds for each level"), element("thead", {}, head));
    const { least } = seedsOf(curves);
    const enough = least >= fewSeeds;
    const fastest = levels.map((_, i) => Math.min(...rows.map((r) => r.cells[i].time)));
    const body = element("tbody");
    for (const { curve, cells } of rows) {
      const name = element("th", { scope: "row" }, element("bdi", {}, curve.method));
      if (curve.params) name.append(element("small", {}, element("bdi", {}, curve.params)));
      const tr = element("tr", {}, name);
      cells.forEach((c, i) => {
        const share = `${c.reached}/${c.runs}`;
        if (c.time === Infinity) {
          tr.append(element("td", { class: "number none" }, unknown, element("small", {}, share)));
          return;
        }
        const time = element("span", {}, duration(c.time));
        if (enough && c.time === fastest[i] && curves.length > 1) time.className = "better";
        tr.append(element("td", { class: "number" }, time, element("small", {}, `${number(c.samples, 3)} samples, ${share}`)));
      });
      body.append(tr);
    }
    table.append(body);
    const note = ["Median time and median samples over all seeds of a method, and how many of its seeds got there; the others count as infinite, and – is where half of the seeds or more did not."];
    if (curves.length === 0) note.splice(0, 1, "No method is switched on.");
    else if (!enough) note.push(`Fewer than ${fewSeeds} seeds: too few to compare methods.`);
    else if (curves.length > 1) note.push("✓ marks the shortest median time.");
    $("targets-note").append(...note.map((s) => element("p", {}, s)));
  }

  // update shows the state; focus stays where it was in the list of methods, which is built anew.
  function update() {
    const focus = document.activeElement, list = $("methods").contains(focus) ? focus.dataset.curve : undefined;
    drawControls();
    drawPlot();
    drawCaption();
    drawTargets();
    writeAddress();
    if (list !== undefined) $("methods").querySelector(`[data-curve="${list}"]`)?.focus();
  }

  const choose = (id, event, change) => $(id).addEventListener(event, (e) => { change(e.currentTarget); update(); });
  choose("problem", "change", (e) => { state.problem = Number(e.value); state.sort = null; });
  choose("x", "change", (e) => { state.x = e.value; });
  choose("y", "change", (e) => { state.y = e.value; state.ylog = null; });
  choose("xlog", "change", (e) => { state.xlog = e.checked; });
  choose("ylog", "change", (e) => { state.ylog = e.checked === up[yNow()].log ? null : e.checked; });
  const chooseAll = (which) => () => {
    for (const curve of problemNow().curves) state.chosen.set(keyOf(curve), which(curve));
  };
  choose("all", "click", chooseAll(() => true));
  choose("none", "click", chooseAll(() => false));
  choose("best", "click", () => { const best = bestOf(problemNow()); chooseAll((curve) => best.has(curve))(); });
  $("controls").addEventListener("submit", (e) => e.preventDefault());

  const levels = $("levels"), help = $("levels-help");
  const usualHelp = "numbers above zero, separated by commas; empty for the usual ones";
  help.textContent = usualHelp;
  levels.addEventListener("input", () => {
    const empty = levels.value.trim() === "", parsed = parseLevels(levels.value);
    const wrong = !empty && parsed === null;
    levels.setAttribute("aria-invalid", String(wrong));
    help.textContent = wrong ? "not a list of up to 12 numbers above zero, such as 1e-2, 1e-4" : usualHelp;
    if (wrong) return;
    state.levels = parsed;
    state.sort = null;
    update();
  });
  levels.addEventListener("blur", () => {
    levels.setAttribute("aria-invalid", "false");
    help.textContent = usualHelp;
    levels.value = levelsNow().map(levelText).join(", ");
  });

  const svg = $("plot");
  svg.addEventListener("pointermove", pointed);
  svg.addEventListener("pointerdown", pointed);
  svg.addEventListener("pointerleave", hideReadout);
  svg.addEventListener("keydown", keyed);
  svg.addEventListener("blur", hideReadout);
  let width = 0;
  new ResizeObserver(() => {
    const now = $("area").clientWidth;
    if (now === width) return;
    width = now;
    drawPlot();
  }).observe($("area"));
  window.addEventListener("hashchange", () => {
    if (location.hash.slice(1) === written) return;
    readAddress();
    update();
  });

  readAddress();
  update();
})();
