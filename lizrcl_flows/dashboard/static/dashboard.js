"use strict";
// Charts (uPlot), structures (3Dmol) and the map (chemiscope) of the pages; data come from this host alone.
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLOURS = ["#2f6fb7", "#d2742b", "#2f9a6a", "#a64ca6", "#c0504d", "#7a8a2b", "#3aa5b5", "#80705f"];
  const positive = (v) => (v === null || v === undefined || !(v > 0) ? null : v);

  function bars(chart, colours) {
    return (u) => {
      const ctx = u.ctx;
      chart.series.forEach((s, k) => {
        if (!s.low || !u.series[k + 1].show) return;
        const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
        ctx.save();
        ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
        ctx.strokeStyle = colours[k]; ctx.fillStyle = colours[k];
        ctx.beginPath();
        if (s.points) s.x.forEach((x, i) => { ctx.moveTo(...at(x, s.low[i])); ctx.lineTo(...at(x, s.high[i])); });
        else {
          s.x.forEach((x, i) => ctx.lineTo(...at(x, s.high[i])));
          for (let i = s.x.length - 1; i >= 0; i--) ctx.lineTo(...at(s.x[i], s.low[i]));
          ctx.closePath(); ctx.globalAlpha = 0.15; ctx.fill();
        }
        if (s.points) { ctx.lineWidth = 2; ctx.stroke(); }
        ctx.restore();
      });
    };
  }

  function draw(place) {
    const chart = JSON.parse(place.dataset.chart);
    const groups = [...new Set(chart.series.map((s) => s.group || s.label))];
    const colours = chart.series.map((s) => COLOURS[groups.indexOf(s.group || s.label) % COLOURS.length]);
    const clean = chart.y.log ? positive : (v) => v;
    const tables = chart.series.map((s) => {
      const order = s.x.map((_, i) => i).sort((a, b) => s.x[a] - s.x[b]);
      return [order.map((i) => s.x[i]), order.map((i) => clean(s.y[i]))];
    });
    const data = uPlot.join(tables);
    if (!data.slice(1).some((row) => row.some((v) => v !== null && v !== undefined))) { place.textContent = "No value yet."; return; }
    const axis = (told, size) => ({ label: told.label, stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") }, size,
      incrs: told.whole ? [1, 2, 5, 10, 20, 50, 100] : undefined,
      values: told.log ? (u, splits) => splits.map((v) => (v === null ? "" : Number(v.toPrecision(3)).toString())) : undefined });
    const whole = chart.x.whole ? { range: (u, a, b) => [a - 0.3, b + 0.3] } : {};
    const all = chart.series.flatMap((s) => [...s.y, ...(s.low || []), ...(s.high || [])]).map(clean).filter((v) => v !== null);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const inLog = { distr: 3, range: () => [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most * 1.0001))] };
    const plot = new uPlot({
      width: place.clientWidth, height: 300,
      scales: { x: { time: false, ...(chart.x.log ? { distr: 3 } : {}), ...whole }, y: chart.y.log ? inLog : {} },
      axes: [axis(chart.x, 45), axis(chart.y, 70)],
      series: [{ label: chart.x.label }, ...chart.series.map((s, k) => ({ label: s.label, stroke: colours[k], width: s.points ? 0 : 2, spanGaps: true,
        points: { show: s.points || s.x.length <= 30 && !s.low, size: 7, fill: colours[k] } }))],
      legend: { live: false },
      hooks: { draw: [bars(chart, colours)] },
    }, data, place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 300 })).observe(place);
  }

  async function fetched(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
  }

  async function view(place) {
    const told = await fetched(place.dataset.view);
    place.textContent = "";
    const viewer = $3Dmol.createViewer(place, { backgroundColor: css("--card"), antialias: true });
    const lines = told.symbols.map((symbol, i) => `${symbol} ${told.positions[i].join(" ")}`);
    const model = viewer.addModel([told.n_atoms, "", ...lines].join("\n"), "xyz");
    viewer.setStyle({}, { sphere: { scale: 0.3 }, stick: { radius: 0.1 } });
    if (told.cell) {
      const [a, b, c] = told.cell;
      const corner = (i, j, k) => { const v = [0, 1, 2].map((n) => i * a[n] + j * b[n] + k * c[n]); return { x: v[0], y: v[1], z: v[2] }; };
      const edge = (start, end) => viewer.addLine({ start, end, color: css("--muted") });
      for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) { edge(corner(0, i, j), corner(1, i, j)); edge(corner(i, 0, j), corner(i, 1, j)); edge(corner(i, j, 0), corner(i, j, 1)); }
    }
    viewer.zoomTo(); viewer.render();
    place.dataset.atoms = model.selectedAtoms({}).length;
    place.nextElementSibling.textContent = `${told.formula}, ${told.n_atoms} atoms`;
  }

  async function map(place) {
    const status = document.getElementById("map-status");
    try {
      const data = await fetched(place.dataset.map);
      for (const property of Object.values(data.properties)) property.values = property.values.map((v) => (v === null ? NaN : v));
      const config = { meta: "chemiscope-meta", map: "chemiscope-map", structure: "chemiscope-structure", info: "chemiscope-info",
        loadStructure: (index, structure) => fetched(`/structures/${structure.data}/chemiscope`) };
      await Chemiscope.DefaultVisualizer.load(config, data);
      place.dataset.points = data.structures.length;
      place.dataset.ready = "yes";
      status.textContent = "Click a point to see its structure.";
    } catch (error) { status.textContent = `The map cannot be drawn: ${error.message}`; place.dataset.ready = "no"; }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-chart]").forEach(draw);
    document.querySelectorAll("[data-view]").forEach((place) => view(place).catch((error) => { place.textContent = error.message; }));
    const place = document.getElementById("chemiscope");
    if (place) map(place);
  });
})();
