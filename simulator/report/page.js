"use strict";
(() => {
  const make = (tag, kind, words) => {
    const one = document.createElement(tag);
    if (kind) one.className = kind;
    if (words !== undefined) one.textContent = words;
    return one;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const digits = (value, most = 4) => {
    const text = Number(value.toPrecision(most));
    return Math.abs(text) >= 1e15 ? String(text) : text.toLocaleString("en-US", { maximumFractionDigits: 9 });
  };
  const scaled = (value, steps, unit) => {
    let [factor, name] = [1, ""];
    for (const [size, prefix] of steps) if (Math.abs(value) >= size) [factor, name] = [size, prefix];
    return `${digits(value / factor)} ${name}${unit}`;
  };
  const BINARY = ["Ki", "Mi", "Gi", "Ti", "Pi"].map((p, i) => [2 ** (10 * (i + 1)), p]);
  const DECIMAL = ["k", "M", "G", "T", "P"].map((p, i) => [10 ** (3 * (i + 1)), p]);
  const usd = value => Math.abs(value) >= 0.995 || !value
    ? "$" + value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : "$" + digits(value, 3);
  const WRITE = {
    s: v => !v ? "0 s" : Math.abs(v) < 1e-3 ? `${digits(v * 1e6)} us` : Math.abs(v) < 1 ? `${digits(v * 1e3)} ms`
      : Math.abs(v) >= 7200 ? `${digits(v / 3600)} h` : `${digits(v)} s`,
    bytes: v => scaled(v, BINARY, "B"),
    j: v => scaled(v, DECIMAL, "J"),
    usd, usd_per_h: v => usd(v) + "/h",
    share: v => digits(100 * v) + "%",
    per_s: v => digits(v) + "/s",
    count: v => digits(v, 6),
  };
  const write = (value, kind) => value === null || value === undefined ? "–" : (WRITE[kind] || digits)(value);

  const tip = make("div");
  tip.id = "tip"; tip.hidden = true; tip.setAttribute("role", "status");
  document.body.append(tip);
  const tell = (words, x, y) => {
    tip.textContent = words; tip.hidden = false;
    const box = tip.getBoundingClientRect(), gap = 14;
    const left = x + gap + box.width > innerWidth ? x - gap - box.width : x + gap;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(y + gap, innerHeight - box.height - 4)) + "px";
  };
  const hush = () => { tip.hidden = true; };
  const middle = one => { const b = one.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; };
  addEventListener("scroll", hush, { passive: true });
  addEventListener("keydown", event => { if (event.key === "Escape") hush(); });

  for (const part of document.querySelectorAll("[data-tip]")) {
    part.addEventListener("pointermove", event => tell(part.dataset.tip, event.clientX, event.clientY));
    part.addEventListener("pointerleave", hush);
    part.addEventListener("focus", () => tell(part.dataset.tip, ...middle(part)));
    part.addEventListener("blur", hush);
  }

  const axis = text => {
    const [low, high, kind, log] = text.split(" ");
    const [a, b] = log ? [Math.log(low), Math.log(high)] : [Number(low), Number(high)];
    return { kind, at: part => log ? Math.exp(a + part * (b - a)) : a + part * (b - a) };
  };
  const corners = (d) => {
    let x = 0, y = 0;
    const found = [];
    for (const [, step, rest] of d.matchAll(/([MLHV])([^MLHV]*)/g)) {
      const n = rest.trim().split(/\s+/).map(Number);
      if (step === "H") x = n[0]; else if (step === "V") y = n[0]; else [x, y] = n;
      found.push([x, y]);
    }
    return found;
  };
  const across = (points, at, by) => {
    const [i, j] = by === "x" ? [0, 1] : [1, 0];
    for (let k = 1; k < points.length; k++) {
      const [a, b] = [points[k - 1], points[k]];
      if ((a[i] <= at && at <= b[i]) || (b[i] <= at && at <= a[i])) {
        return a[i] === b[i] ? b[j] : a[j] + (at - a[i]) / (b[i] - a[i]) * (b[j] - a[j]);
      }
    }
    return null;
  };
  const hover = frame => {
    const canvas = frame.querySelector(".canvas"), svg = canvas.querySelector("svg");
    const [x, y] = [axis(frame.dataset.x), axis(frame.dataset.y)], by = frame.dataset.by;
    const lines = [...svg.querySelectorAll(".line")].map(line => [line.dataset.name, corners(line.getAttribute("d"))]);
    const cross = document.createElementNS(SVG, "path");
    cross.setAttribute("class", "cross");
    canvas.addEventListener("pointermove", event => {
      const box = canvas.getBoundingClientRect();
      const px = 1000 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const py = 1000 * Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
      cross.setAttribute("d", by === "x" ? `M${px} 0V1000` : `M0 ${py}H1000`);
      svg.append(cross);
      const head = by === "x" ? write(x.at(px / 1000), x.kind) : write(y.at(1 - py / 1000), y.kind);
      const told = lines.map(([name, points]) => {
        const at = across(points, by === "x" ? px : py, by);
        const value = at === null ? "–" : by === "x" ? write(y.at(1 - at / 1000), y.kind) : write(x.at(at / 1000), x.kind);
        return `${name}: ${value}`;
      });
      tell([head, ...told].join("\n"), event.clientX, event.clientY);
    });
    canvas.addEventListener("pointerleave", () => { cross.remove(); hush(); });
  };
  document.querySelectorAll(".chart .frame").forEach(hover);

  const roundTicks = (low, high, most) => {
    const raw = (high - low) / most, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map(m => m * size).find(s => s >= raw * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found;
  };
  const scale = (values, room) => {
    const positive = values.every(v => v > 0);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const log = positive && high / low > 20;
    if (low === high) [low, high] = low ? [low - Math.abs(low) * 0.1, low + Math.abs(low) * 0.1] : [0, 1];
    const to = v => log ? Math.log(v) : v;
    const pad = (to(high) - to(low)) * 0.06;
    const [a, b] = [to(low) - pad, to(high) + pad];
    let ticks = roundTicks(log ? low : a, log ? high : b, room);
    if (log) {
      ticks = [];
      const steps = (b - a) / Math.LN10 > 2 ? [1] : [1, 2, 5];
      for (let e = Math.floor(a / Math.LN10); e <= Math.ceil(b / Math.LN10); e++) for (const m of steps) ticks.push(m * 10 ** e);
    }
    return { at: v => (to(v) - a) / (b - a), ticks: ticks.filter(t => to(t) >= a && to(t) <= b), log };
  };

  const explore = place => {
    const data = JSON.parse(document.getElementById(place.dataset.of).textContent);
    if (!data.rows.length) { place.replaceChildren(make("p", "", "No point has figures.")); return; }
    const column = Object.fromEntries(data.columns.map((c, i) => [c.name, { ...c, i }]));
    const high = name => (data.high && name in data.high) ? data.high[name] : column[name].high;
    const numeric = data.columns.filter(c => data.rows.some(r => r[column[c.name].i] !== null)).map(c => c.name);
    const state = {
      x: data.axes[1] || numeric[1] || numeric[0], y: data.axes[0] || numeric[0], colour: data.colour,
      only: false, off: data.keys.map(() => new Set()), picked: null, sort: null, up: true, all: false,
    };
    const keyOf = name => data.keys.find(k => k.name === name) || data.keys[0];
    const value = (row, name) => data.rows[row][column[name].i];
    const named = row => data.keys.map(k => `${k.label} ${k.levels[k.of[row]]}`).join(", ");

    const shade = row => {
      const key = keyOf(state.colour);
      if (!key) return "var(--c0)";
      const level = key.of[row], many = key.levels.length;
      if (!key.ordered || many < 2) return `var(--c${level % 7})`;
      return `color-mix(in oklab, var(--high) ${Math.round(100 * level / (many - 1))}%, var(--low))`;
    };
    const visible = () => data.rows.map((_, i) => i).filter(i =>
      (!state.only || data.meets[i]) && data.keys.every((k, n) => !state.off[n].has(k.of[i])));
    const frontOf = rows => {
      const sign = name => high(name) ? -1 : 1, [sx, sy] = [sign(state.x), sign(state.y)];
      const able = rows.filter(i => data.meets[i] && value(i, state.x) !== null && value(i, state.y) !== null)
        .sort((a, b) => sx * (value(a, state.x) - value(b, state.x)) || sy * (value(a, state.y) - value(b, state.y)));
      let best = Infinity, at = null;
      return able.filter(i => {
        const [u, v] = [value(i, state.x), sy * value(i, state.y)];
        const on = v < best || (v === best && u === at);
        if (on) [best, at] = [v, u];
        return on;
      });
    };

    const tools = make("div", "tools"), chips = make("div"), count = make("p", "count");
    count.setAttribute("aria-live", "polite");
    const choose = (label, names, key, text) => {
      const box = make("label", "", label + " "), list = make("select");
      for (const name of names) { const o = make("option", "", text(name)); o.value = name; o.selected = name === state[key]; list.append(o); }
      list.addEventListener("change", () => { state[key] = list.value; redraw(); });
      box.append(list); tools.append(box);
    };
    choose("across", numeric, "x", n => column[n].label);
    choose("up", numeric, "y", n => column[n].label);
    if (data.keys.length > 1) choose("colour", data.keys.map(k => k.name), "colour", n => keyOf(n).label);
    if (data.meets.some(m => !m)) {
      const box = make("label"), tick = make("input");
      tick.type = "checkbox"; box.append(tick, " only what meets the bounds");
      tick.addEventListener("change", () => { state.only = tick.checked; redraw(); });
      tools.append(box);
    }
    data.keys.forEach((key, n) => {
      if (key.levels.length < 2) return;
      const line = make("div", "chips"), name = make("span", "", key.label);
      name.title = key.name; line.append(name);
      key.levels.slice(0, 80).forEach((level, i) => {
        const chip = make("button", "", level);
        chip.type = "button"; chip.setAttribute("aria-pressed", "true");
        chip.addEventListener("click", () => {
          const off = state.off[n];
          if (off.has(i)) off.delete(i); else off.add(i);
          chip.setAttribute("aria-pressed", String(!off.has(i))); redraw();
        });
        line.append(chip);
      });
      chips.append(line);
    });
    const plot = make("div"), legend = make("div", "key"), table = make("div", "wide");
    table.tabIndex = 0;
    place.replaceChildren(tools, chips, legend, plot, count, table);

    const label = (side, at, words) => { const s = make("span", at > .93 ? "end" : "", words); s.style[side] = 100 * at + "%"; return s; };
    const draw = rows => {
      const known = rows.filter(i => value(i, state.x) !== null && value(i, state.y) !== null);
      const frame = make("div", "frame"), ys = make("div", "ys"), canvas = make("div", "canvas"), xs = make("div", "xs");
      frame.append(ys, canvas, xs);
      const axes = make("p", "axes", `${column[state.x].label} →${high(state.x) ? "" : " (less is better)"} · ${column[state.y].label} ↑${high(state.y) ? "" : " (less is better)"}`);
      plot.replaceChildren(frame, axes);
      const front = new Set(frontOf(known));
      if (!known.length) return front;
      const narrow = innerWidth < 640;
      const [x, y] = [scale(known.map(i => value(i, state.x)), narrow ? 3 : 6), scale(known.map(i => value(i, state.y)), 5)];
      const [kx, ky] = [column[state.x].kind, column[state.y].kind];
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 1000 1000"); svg.setAttribute("preserveAspectRatio", "none");
      const path = (kind, d) => { const p = document.createElementNS(SVG, "path"); p.setAttribute("class", kind); p.setAttribute("d", d); svg.append(p); };
      path("rule", x.ticks.map(t => `M${1000 * x.at(t)} 0V1000`).join("") + y.ticks.map(t => `M0 ${1000 - 1000 * y.at(t)}H1000`).join(""));
      for (const bound of data.bounds) {
        if (typeof bound.bound !== "number") continue;
        if (bound.column === state.x && x.at(bound.bound) >= 0 && x.at(bound.bound) <= 1) path("bound", `M${1000 * x.at(bound.bound)} 0V1000`);
        if (bound.column === state.y && y.at(bound.bound) >= 0 && y.at(bound.bound) <= 1) path("bound", `M0 ${1000 - 1000 * y.at(bound.bound)}H1000`);
      }
      const line = [...front].sort((a, b) => value(a, state.x) - value(b, state.x));
      const turn = (px, py) => high(state.x) ? `V${py}H${px}` : `H${px}V${py}`;
      path("frontier", line.map((i, n) => {
        const [px, py] = [1000 * x.at(value(i, state.x)), 1000 - 1000 * y.at(value(i, state.y))];
        return n ? turn(px, py) : `M${px} ${py}`;
      }).join("") || "M0 0");
      canvas.append(svg);
      xs.append(...x.ticks.map(t => label("left", x.at(t), write(t, kx))));
      ys.append(...y.ticks.map(t => label("bottom", y.at(t), write(t, ky))));
      for (const i of known) {
        const dot = make("button", "dot" + (data.meets[i] ? "" : " misses") + (front.has(i) ? " front" : "") + (state.picked === i ? " picked" : ""));
        dot.type = "button"; dot.style.color = shade(i);
        dot.style.left = 100 * x.at(value(i, state.x)) + "%"; dot.style.bottom = 100 * y.at(value(i, state.y)) + "%";
        dot.style.marginTop = dot.style.marginRight = 0;
        const words = [named(i), ...new Set([state.y, state.x, ...shown()])].map((n, k) => k ? `${column[n].label}: ${write(value(i, n), column[n].kind)}` : n);
        words.push(data.meets[i] ? (front.has(i) ? "on the Pareto front of these axes" : "meets the bounds") : "does not meet the bounds");
        dot.setAttribute("aria-label", words.join("; "));
        dot.addEventListener("pointerenter", e => tell(words.join("\n"), e.clientX, e.clientY));
        dot.addEventListener("pointerleave", hush);
        dot.addEventListener("focus", () => tell(words.join("\n"), ...middle(dot)));
        dot.addEventListener("blur", hush);
        dot.addEventListener("click", () => { state.picked = state.picked === i ? null : i; redraw(); });
        canvas.append(dot);
      }
      return front;
    };
    const shown = () => data.columns.slice(0, 6).map(c => c.name);
    const list = (rows, front) => {
      const names = [...new Set([state.y, state.x, ...shown()])];
      const grid = make("table", "points"), head = make("tr"), body = make("tbody");
      const titles = [["point", "point"], ...data.keys.map(k => [k.name, k.label]), ...names.map(n => [n, column[n].label])];
      for (const [name, title] of titles) {
        const cell = make("th", "", title + (state.sort === name ? (state.up ? " ↑" : " ↓") : ""));
        cell.scope = "col"; cell.tabIndex = 0;
        const turn = () => { if (state.sort === name) state.up = !state.up; else { state.sort = name; state.up = true; } redraw(); };
        cell.addEventListener("click", turn);
        cell.addEventListener("keydown", e => { if (e.key === "Enter") turn(); });
        head.append(cell);
      }
      const of = i => state.sort === null ? null : state.sort === "point" ? data.points[i]
        : column[state.sort] ? value(i, state.sort) : keyOf(state.sort).of[i];
      const order = [...rows].sort((a, b) => {
        if (state.sort === null) return (b === state.picked) - (a === state.picked) || front.has(b) - front.has(a) || a - b;
        const [u, v] = [of(a), of(b)];
        return u === null ? 1 : v === null ? -1 : (state.up ? u - v : v - u);
      });
      const most = state.all ? order.length : 12;
      for (const i of order.slice(0, most)) {
        const row = make("tr", (data.meets[i] ? "" : "misses") + (state.picked === i ? " picked" : ""));
        const first = make("th", "", `${data.points[i]}${front.has(i) ? " ◆" : ""}`);
        first.scope = "row"; row.append(first, ...data.keys.map(k => make("td", "", k.levels[k.of[i]])));
        row.append(...names.map(n => make("td", "", write(value(i, n), column[n].kind))));
        row.addEventListener("click", () => { state.picked = state.picked === i ? null : i; redraw(); });
        body.append(row);
      }
      const top = make("thead"); top.append(head); grid.append(top, body);
      table.replaceChildren(grid);
      if (order.length > 12) {
        const more = make("button", "more", state.all ? "show fewer" : `show all ${order.length}`);
        more.type = "button";
        more.addEventListener("click", () => { state.all = !state.all; redraw(); });
        table.append(more);
      }
    };
    const redraw = () => {
      hush();
      const rows = visible(), front = draw(rows), key = keyOf(state.colour);
      legend.replaceChildren();
      if (key) key.levels.slice(0, 14).forEach((level, n) => {
        const entry = make("span"), box = make("i", "box");
        box.style.color = shade(key.of.indexOf(n)); entry.append(box, `${key.label} ${level}`);
        legend.append(entry);
      });
      const meets = rows.filter(i => data.meets[i]).length;
      count.textContent = `${rows.length} of ${data.rows.length} points shown, ${meets} of them meet the bounds; ${front.size} on the front of these two axes (large, ringed; ◆). Hollow: does not meet them.${data.listed ? " Click a point to find it in the table, a heading to sort." : ""}`;
      if (data.listed) list(rows, front);
    };
    let wide = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; redraw(); } });
    redraw();
  };
  document.querySelectorAll(".explorer").forEach(explore);
  let closed = [];
  addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")]; closed.forEach(d => { d.open = true; }); });
  addEventListener("afterprint", () => closed.forEach(d => { d.open = false; }));
})();
