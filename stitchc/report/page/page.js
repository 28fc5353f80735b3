// Draws the charts of a page with Vega-Lite, and copies the recipe. Without scripts the page keeps its pictures.
(() => {
  "use strict";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const read = (figure) => JSON.parse(document.getElementById(figure.dataset.from).textContent);
  const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();
  const narrow = (figure) => figure.clientWidth < 600;

  function config() {
    const axis = {
      labelColor: colour("ink"), titleColor: colour("ink"), gridColor: colour("line"), domainColor: colour("line"),
      tickColor: colour("line"), labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal", gridOpacity: 0.6,
    };
    return {
      background: null, font: 'system-ui, "Segoe UI", "Liberation Sans", sans-serif', axis, view: { stroke: null },
      legend: { labelColor: colour("ink"), titleColor: colour("ink"), labelFontSize: 12, symbolSize: 90, labelLimit: 260 },
    };
  }

  // A tooltip is written when the pointer asks for it: to have thousands at hand takes long. `told` marks what has one.
  const told = { tooltip: { content: "data" } };
  const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const table = (rows) => rows.filter(([, value]) => value !== null && value !== undefined);

  function facts(data, datum) {
    if (!data.reached) {
      const similarity = datum.similarity === null ? "not known" : datum.similarity.toFixed(3);
      return [[data.down, datum.row], [data.across, datum.column], [data.metric, similarity], ["chosen", datum.chosen && "yes"]]
        .filter(([, value]) => value !== undefined);
    }
    const share = (value) => value === null || value === undefined ? null : `${number(value * 100, 1)} %`;
    const three = (value) => value === null || value === undefined ? null : value.toFixed(3);
    return table([
      [datum.kind, datum.name], ["adapter", datum.adapter], ["top-1", share(datum.accuracy)], ["score", three(datum.score)],
      ["similarity", three(datum.similarity)],
      ...data.metrics.map(({ key, title }) => [title, datum[key] === null || datum[key] === undefined ? null : number(datum[key], 3)]),
    ]);
  }

  const tooltip = (data) => (datum, sanitize) => {
    const rows = facts(data, datum).map(([name, value]) => `<tr><td class="key">${sanitize(name)}</td><td class="value">${sanitize(value)}</td></tr>`);
    return `<table>${rows.join("")}</table>`;
  };

  // The similarity of every two cuts. Axes name as many cuts as there is room for; the pointer names each.
  function heat(figure, data) {
    const small = narrow(figure);
    const cell = Math.max(5, Math.min(24, 560 / data.rows.length));
    const height = Math.max(160, Math.round(cell * data.rows.length));
    const values = data.values.flatMap((row, i) =>
      row.map((similarity, j) => ({ row: data.rows[i], column: data.columns[j], similarity })));
    const chosen = data.chosen.map(([i, j]) => ({
      row: data.rows[i], column: data.columns[j], similarity: data.values[i][j], chosen: true,
    }));
    const named = (cuts, room) => cuts.filter((_, k) => k % Math.ceil(cuts.length / room) === 0);
    const axis = (cuts, room, title, angle) => ({
      title, values: named(cuts, room), labelLimit: small ? 90 : 170, labelAngle: angle, labelOverlap: false,
      ticks: false, domain: false, labelExpr: small ? "split(datum.label, ' ')[0]" : "datum.label",
    });
    const place = {
      x: { field: "column", type: "nominal", scale: { domain: data.columns }, axis: axis(data.columns, small ? 12 : 44, data.across, -90) },
      y: { field: "row", type: "nominal", scale: { domain: data.rows }, axis: axis(data.rows, small ? 24 : Math.floor(height / 13), data.down, 0) },
    };
    const scale = { scheme: "viridis", domain: [0, 1], clamp: true };
    return {
      height, data: { values },
      layer: [
        { mark: { type: "rect", invalid: null, ...told },
          encoding: { ...place, color: { field: "similarity", type: "quantitative", scale, legend: {
            title: data.metric, orient: "top", direction: "horizontal", gradientLength: small ? 160 : 240 } } } },
        { data: { values: chosen }, mark: { type: "rect", fill: null, strokeWidth: 5, stroke: "#000000", ...told }, encoding: place },
        { data: { values: chosen }, mark: { type: "rect", fill: "transparent", strokeWidth: 2.5, stroke: "#ff5fb8", ...told },
          encoding: place },
        ...(small ? [] : [3, 0].map((strokeWidth) => ({ data: { values: chosen },
          mark: { type: "text", text: "chosen", dy: -Math.ceil(cell / 2) - 9, fontSize: 13, fontWeight: "bold", fill: "#ffffff",
            stroke: "#000000", strokeWidth, strokeJoin: "round", ...told }, encoding: { x: place.x, y: place.y } }))),
      ],
      resolve: { scale: { x: "shared", y: "shared" } },
    };
  }

  // One object for each candidate, made once: [kind, name, what it takes and reaches].
  function candidates(data) {
    const cut = (model, index) => `${data.names[model]} ${data.cuts[model][index]}`;
    return data.front_model.map((front, k) => {
      const found = {
        kind: data.feasible[k] ? "candidate" : "candidate over the budget",
        name: `${cut(front, data.front_cut[k])} → ${cut(data.back_model[k], data.back_cut[k])}`,
        adapter: data.adapters[data.adapter[k]], similarity: data.similarity[k],
        score: data.score ? data.score[k] : null, accuracy: null,
      };
      for (const { key } of data.metrics) found[key] = data.amounts[key][k];
      return found;
    });
  }

  // The points that no other is better than in both, cheapest first.
  function front(points, x, y) {
    let best = -Infinity;
    return points.sort((a, b) => a[x] - b[x] || b[y] - a[y]).filter((p) => p[y] > best && ((best = p[y]), true));
  }

  // From where up a closer look begins: half of the front, the hybrid and the models are in it.
  function upper(line, others, y) {
    const heights = line.map((p) => p[y]).sort((a, b) => a - b);
    const known = others.filter((p) => p.kind !== "rival").map((p) => p[y]);
    return Math.min(heights[heights.length >> 1] ?? Infinity, ...known);
  }

  // Where the names of points stand so that they do not cover one another; a name without room is left to the pointer.
  function labels(named, all, x, y, width, height) {
    const scaled = (axis, size) => {
      const values = all.map((p) => p[axis]);
      const low = Math.min(...values);
      return (p) => ((p[axis] - low) / (Math.max(...values) - low || 1)) * size;
    };
    const [left, up] = [scaled(x, width), scaled(y, height)];
    const places = [["left", 10, -9], ["right", -10, -9], ["left", 10, 11], ["right", -10, 11]].map(([align, dx, dy]) => ({
      at: { align, dx, dy }, values: [] }));
    const taken = named.map((p) => [left(p) - 8, left(p) + 8, height - up(p)]);  // no name covers another's point
    for (const point of named) {
      const long = point.name.length * 7.2;
      for (const { at, values } of places) {
        const from = left(point) + at.dx - (at.align === "right" ? long : 0);
        const top = height - up(point) + at.dy;
        const free = from >= 0 && from + long <= width &&
          taken.every(([a, b, c]) => from > b || from + long < a || Math.abs(top - c) > 14);
        if (!free) continue;
        taken.push([from, from + long, top]);
        values.push(point);
        break;
      }
    }
    return places.filter(({ values }) => values.length);
  }

  // A little more than the range of some figures, but not beyond the 0 and 1 that they keep to.
  function around(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low) * 0.06 || 0.05;
    return [low >= 0 ? Math.max(0, low - room) : low - room, high < 1 ? Math.min(1, high + room) : high + room / 3];
  }

  // As many digits as tell the marks of an axis apart.
  const figures = (share, range) => share ? (range < 0.01 ? ".2%" : range < 0.1 ? ".1%" : ".0%") : range < 0.02 ? ".4f" : range < 0.1 ? ".3f" : ".2f";

  const KINDS = ["candidate", "candidate over the budget", "parent", "rival", "hybrid"];

  function scatter(figure, data, chosen) {
    const { x, y } = chosen;
    const small = narrow(figure);
    data.points ??= candidates(data);
    const known = (p) => p[x] !== null && p[x] !== undefined && p[y] !== null && p[y] !== undefined;
    const every = [data.points, data.others].map((list) => list.filter(known));
    const line = front(every.flat().filter((p) => p.kind === "candidate" || p.kind === "hybrid"), x, y);
    const floor = chosen.upper ? upper(line, every[1], y) : -Infinity;
    const [points, others] = every.map((list) => list.filter((p) => p[y] >= floor));
    const title = data.metrics.find((m) => m.key === x).title;
    const kinds = KINDS.filter((kind) => [...points, ...others].some((p) => p.kind === kind));
    const hues = { candidate: "m0", "candidate over the budget": "soft", parent: "m1", rival: "m2", hybrid: "adapter" };
    const shapes = { candidate: "circle", "candidate over the budget": "circle", parent: "square", rival: "triangle-up", hybrid: "diamond" };
    const legend = { title: null, orient: "top", columns: small ? 2 : 5, symbolOpacity: 1 };
    const share = y !== "similarity" && y !== "score";
    const spread = [...points, ...others].map((p) => p[y]);
    const place = {
      x: { field: x, type: "quantitative", title, scale: { zero: false, nice: true }, axis: { format: "~s", tickCount: small ? 4 : 8 } },
      y: { field: y, type: "quantitative", title: share ? "top-1 accuracy" : y, scale: { zero: false, nice: false, domain: around(spread) },
        axis: { format: figures(share, Math.max(...spread) - Math.min(...spread)) } },
      color: { field: "kind", type: "nominal", legend, scale: { domain: kinds, range: kinds.map((k) => colour(hues[k])) } },
      shape: { field: "kind", type: "nominal", legend, scale: { domain: kinds, range: kinds.map((k) => shapes[k]) } },
    };
    const limit = data.budget[x];
    const layer = [
      ...(limit === undefined ? [] : [
        { data: { values: [{ [x]: limit }] }, mark: { type: "rule", strokeDash: [5, 4], color: colour("bad"), strokeWidth: 1.5 },
          encoding: { x: place.x } },
        { data: { values: [{ [x]: limit }] }, mark: { type: "text", text: "budget", align: "right", dx: -5, y: { expr: "height - 10" }, color: colour("bad"), fontSize: 12 },
          encoding: { x: place.x } }]),
      { data: { values: points }, mark: { type: "point", filled: true, size: points.length > 1000 ? 14 : 42, opacity: points.length > 1000 ? 0.45 : 0.75, ...told },
        encoding: place },
      { data: { values: line.filter((p) => p[y] >= floor) },
        mark: { type: "line", interpolate: "step-after", strokeWidth: 1.5, color: colour("m0"), tooltip: null }, encoding: { x: place.x, y: place.y } },
      { data: { values: others }, mark: { type: "point", filled: true, size: 170, opacity: 1, stroke: colour("ground"), strokeWidth: 1.5, ...told },
        encoding: place },
      ...(small ? [] : labels(others, [...points, ...others], x, y, figure.clientWidth - 60, 420)).map(({ at, values }) => ({
        data: { values }, mark: { type: "text", ...at, fontSize: 12, color: colour("ink"), ...told },
        encoding: { x: place.x, y: place.y, text: { field: "name" } } })),
    ];
    return { height: small ? 300 : 420, layer: layer.filter(({ data: { values } }) => values.length) };
  }

  const CHARTS = { heat, scatter };

  // Two lists above a scatter, for its axes, and a box for a closer look at the best.
  function axes(figure, data, chosen, redraw) {
    const bar = document.createElement("div");
    bar.className = "axes";
    const lists = {
      y: ["Show", data.reached.map((name) => ({ key: name, title: name }))], x: ["against", data.metrics],
    };
    for (const [axis, [said, options]] of Object.entries(lists)) {
      const label = document.createElement("label");
      const list = document.createElement("select");
      label.textContent = said;
      for (const { key, title } of options) list.append(new Option(title, key, false, key === chosen[axis]));
      list.addEventListener("change", () => { chosen[axis] = list.value; redraw(); });
      label.append(list);
      bar.append(label);
    }
    const closer = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => { chosen.upper = box.checked; redraw(); });
    closer.append(box, "only the best");
    bar.append(closer);
    figure.prepend(bar);
  }

  function start(figure) {
    const data = read(figure);
    const plot = figure.querySelector(".plot");
    const still = plot.innerHTML;
    const said = figure.querySelector("figcaption").textContent;
    const chosen = data.reached ? { x: data.x, y: data.reached[0] } : {};
    let drawn = null;
    let width = 0;
    const redraw = async () => {
      width = narrow(figure);
      const spec = CHARTS[figure.dataset.chart](figure, data, chosen);
      const whole = { width: "container", autosize: { type: "fit-x", contains: "padding" }, description: said, ...spec };
      const options = { actions: false, renderer: "canvas", config: config(), tooltip: { theme: dark.matches ? "dark" : "light", formatTooltip: tooltip(data) } };
      try {
        drawn?.finalize();
        plot.textContent = "";
        drawn = await window.vegaEmbed(plot, whole, { mode: "vega-lite", ...options });
        figure.dataset.drawn = "yes";
        figure.view = drawn.view;
      } catch (error) {
        plot.innerHTML = still;
        console.error(error);
      }
    };
    if (data.reached) axes(figure, data, chosen, redraw);
    dark.addEventListener("change", redraw);
    window.addEventListener("resize", () => { if (narrow(figure) !== width) redraw(); });
    return redraw();
  }

  function copying(box) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(box.querySelector("pre").textContent);
        button.textContent = "Copied";
      } catch {
        window.getSelection().selectAllChildren(box.querySelector("pre"));
        button.textContent = "Selected: copy it with the keyboard";
      }
    });
    box.prepend(button);
  }

  async function all() {
    document.querySelectorAll(".recipe").forEach(copying);
    if (window.vegaEmbed) for (const figure of document.querySelectorAll("figure.chart")) await start(figure);
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  }
  all();
})();
