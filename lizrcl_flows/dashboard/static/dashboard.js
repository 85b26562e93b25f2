"use strict";
// Charts (uPlot), structures (3Dmol) and the map (chemiscope). All data come from this host.
(() => {
  const CHART_HEIGHT = 300;
  const COLOURS = ["#2f6fb7", "#d2742b", "#2f9a6a", "#a64ca6", "#c0504d", "#7a8a2b", "#3aa5b5", "#80705f"];
  const DARK_COLOURS = ["#6ea8e8", "#eda05f", "#63c69b", "#cf8ad0", "#e58784", "#b3c25f", "#74cdd9", "#b8a796"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colourOf = (number) => (dark.matches ? DARK_COLOURS : COLOURS)[number % COLOURS.length];
  const positive = (value) => (value > 0 ? value : null);
  const known = (value) => value !== null && value !== undefined;

  async function fetched(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address} is not there (${answer.status})`);
    return answer.json();
  }

  // --- charts -----------------------------------------------------------------------------------------------------

  /** Draw bars of uncertainty at points, and bands around lines. */
  function uncertainties(chart, colours) {
    return (plot) => {
      const at = (x, y) => [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
      const { ctx, bbox } = plot;
      chart.series.forEach((series, number) => {
        if (!series.low || !plot.series[number + 1].show) return;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        ctx.strokeStyle = ctx.fillStyle = colours[number];
        ctx.beginPath();
        if (series.points) {
          series.x.forEach((x, i) => {
            ctx.moveTo(...at(x, series.low[i]));
            ctx.lineTo(...at(x, series.high[i]));
          });
          ctx.lineWidth = 2;
          ctx.stroke();
        } else {
          series.x.forEach((x, i) => ctx.lineTo(...at(x, series.high[i])));
          for (let i = series.x.length - 1; i >= 0; i -= 1) ctx.lineTo(...at(series.x[i], series.low[i]));
          ctx.closePath();
          ctx.globalAlpha = 0.18;
          ctx.fill();
        }
        ctx.restore();
      });
    };
  }

  function axisOf(told, size) {
    const line = { stroke: css("--line"), width: 1 };
    const plain = (plot, splits) => splits.map((value) => (known(value) ? Number(value.toPrecision(3)).toString() : ""));
    return {
      label: told.label,
      size,
      stroke: css("--muted"),
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      grid: line,
      ticks: line,
      incrs: told.whole ? [1, 2, 5, 10, 20, 50, 100] : undefined,
      values: told.log ? plain : undefined,
    };
  }

  /** Return the decades that hold all values and their uncertainties. */
  function decades(chart) {
    const all = chart.series.flatMap((series) => [...series.y, ...(series.low || []), ...(series.high || [])]);
    const logs = all.map(positive).filter(known).map(Math.log10);
    const least = Math.floor(Math.min(...logs));
    return [10 ** least, 10 ** Math.max(least + 1, Math.ceil(Math.max(...logs) - 1e-9))];
  }

  function scalesOf(chart) {
    const x = { time: false };
    if (chart.x.log) x.distr = 3;
    if (chart.x.whole) x.range = (plot, least, most) => [least - 0.3, most + 0.3];
    return { x, y: chart.y.log ? { distr: 3, range: () => decades(chart) } : {} };
  }

  function draw(place) {
    const chart = JSON.parse(place.dataset.chart);
    const value = chart.y.log ? positive : (given) => given;
    const tables = chart.series.map((series) => {
      const order = series.x.map((_, i) => i).sort((a, b) => series.x[a] - series.x[b]);
      return [order.map((i) => series.x[i]), order.map((i) => value(series.y[i]))];
    });
    if (!tables.some((table) => table[1].some(known))) {
      place.textContent = "No value yet.";
      return;
    }
    const groups = [...new Set(chart.series.map((series) => series.group || series.label))];
    const colours = chart.series.map((series) => colourOf(groups.indexOf(series.group || series.label)));
    const lines = chart.series.map((series, number) => ({
      label: series.label,
      stroke: colours[number],
      width: series.points ? 0 : 2,
      spanGaps: true,
      points: { show: series.points || (series.x.length <= 30 && !series.low), size: 7, fill: colours[number] },
    }));
    place.textContent = "";
    const size = () => ({ width: Math.max(200, place.clientWidth), height: CHART_HEIGHT });
    place.plot = new uPlot(
      {
        ...size(),
        scales: scalesOf(chart),
        axes: [axisOf(chart.x, 40), axisOf(chart.y, 66)],
        series: [{ label: chart.x.label }, ...lines],
        legend: { live: false },
        hooks: { draw: [uncertainties(chart, colours)] },
      },
      uPlot.join(tables),
      place,
    );
    new ResizeObserver(() => place.plot.setSize(size())).observe(place);
  }

  // --- structures -------------------------------------------------------------------------------------------------

  function drawCell(viewer, cell) {
    const point = (i, j, k) => {
      const [x, y, z] = [0, 1, 2].map((axis) => i * cell[0][axis] + j * cell[1][axis] + k * cell[2][axis]);
      return { x, y, z };
    };
    const edge = (start, end) => viewer.addLine({ start, end, color: css("--muted") });
    for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      edge(point(0, i, j), point(1, i, j));
      edge(point(i, 0, j), point(i, 1, j));
      edge(point(i, j, 0), point(i, j, 1));
    }
  }

  function styleOf(told, name) {
    if (!name) return { sphere: { scale: 0.32, colorscheme: "Jmol" }, stick: { radius: 0.09, colorscheme: "Jmol" } };
    const values = told.values[name];
    const gradient = new $3Dmol.Gradient.ROYGB(Math.max(...values), Math.min(...values)); // the largest is red
    const colour = (atom) => gradient.valueToHex(values[atom.index]);
    return { sphere: { scale: 0.32, colorfunc: colour }, stick: { radius: 0.09, colorfunc: colour } };
  }

  /** Say what is shown: elements with their colours, and a choice of what atoms are coloured by. */
  function legend(place, told, viewer) {
    const line = place.nextElementSibling;
    line.textContent = `${told.formula}, ${told.n_atoms} atoms`;
    for (const symbol of new Set(told.symbols)) {
      const item = document.createElement("span");
      const dot = document.createElement("span");
      dot.className = "dot";
      const colour = $3Dmol.elementColors.Jmol[symbol] || 0;
      dot.style.background = `#${colour.toString(16).padStart(6, "0")}`;
      item.append(dot, symbol);
      line.append(item);
    }
    const names = Object.keys(told.values);
    if (!names.length) return;
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", "colour atoms by");
    choice.append(new Option("colour: element", ""));
    for (const name of names) {
      const range = `${Math.min(...told.values[name]).toPrecision(3)} (blue) to ${Math.max(...told.values[name]).toPrecision(3)} (red)`;
      choice.append(new Option(`colour: ${name}, ${range}`, name));
    }
    choice.addEventListener("change", () => {
      viewer.setStyle({}, styleOf(told, choice.value));
      viewer.render();
    });
    line.append(choice);
  }

  async function view(place) {
    const told = await fetched(place.dataset.view);
    place.textContent = "";
    const viewer = $3Dmol.createViewer(place, { backgroundColor: css("--card"), antialias: true });
    const lines = told.symbols.map((symbol, i) => `${symbol} ${told.positions[i].join(" ")}`);
    const model = viewer.addModel([told.n_atoms, "", ...lines].join("\n"), "xyz");
    viewer.setStyle({}, styleOf(told, ""));
    if (told.cell) drawCell(viewer, told.cell);
    viewer.rotate(-65, "x");
    viewer.rotate(15, "y");
    viewer.zoomTo();
    viewer.zoom(1.2);
    viewer.render();
    legend(place, told, viewer);
    place.viewer = viewer;
    place.dataset.atoms = model.selectedAtoms({}).length;
  }

  // --- map --------------------------------------------------------------------------------------------------------

  /** Offer the quantities that points may be coloured by, beside chemiscope's own menu. */
  function colourChips(place, data, visualizer, colour) {
    const line = place.querySelector(".colours");
    const meaning = document.createElement("small");
    const offered = { eps: "eps", region: "region number", generation: "generation", verdict: "verdict number" };
    for (const [word, name] of Object.entries(offered)) {
      if (!(name in data.properties)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word;
      const told = name.endsWith("number") ? data.properties[name].description : "";
      button.classList.toggle("on", colour === name);
      if (colour === name) meaning.textContent = told;
      button.addEventListener("click", () => {
        meaning.textContent = told;
        visualizer.applySettings({ map: { ...visualizer.saveSettings().map, color: { property: name } } });
        line.querySelectorAll("button").forEach((other) => other.classList.toggle("on", other === button));
      });
      line.append(button);
    }
    line.append(meaning);
    line.hidden = false;
  }

  /** Say which candidate a point is, and where its document is. */
  function tell(status, data, index) {
    const at = (name) => data.properties[name] && data.properties[name].values[index];
    const link = document.createElement("a");
    link.className = "id";
    link.href = `/documents/${data.ids[index]}`;
    link.textContent = data.ids[index];
    const eps = at("eps");
    const reason = at("reason") === "none" ? "" : ` (${at("reason")})`;
    const words = [`${at("verdict")}${reason}`, at("phase"), eps > 0 ? `eps ${eps.toPrecision(3)} eV/A` : ""];
    status.replaceChildren(link, ` ${words.filter(Boolean).join(", ")}`);
  }

  async function map(place) {
    const status = document.getElementById("map-status");
    const data = await fetched(place.dataset.map);
    for (const property of Object.values(data.properties)) {
      property.values = property.values.map((value) => (value === null ? NaN : value));
    }
    const config = {
      meta: "chemiscope-meta",
      map: "chemiscope-map",
      structure: "chemiscope-structure",
      info: "chemiscope-info",
      loadStructure: (_, structure) => fetched(`/structures/${structure.data}/chemiscope`),
    };
    const colour = data.settings.map.color.property; // chemiscope takes the settings out of the data
    const visualizer = await Chemiscope.DefaultVisualizer.load(config, data);
    place.visualizer = visualizer;
    place.dataset.points = data.structures.length;
    colourChips(place, data, visualizer, colour);
    for (const [part, event] of [["map", "onselect"], ["structure", "onselect"], ["info", "onchange"]]) {
      const before = visualizer[part][event];
      visualizer[part][event] = (found, ...rest) => {
        if (found && known(found.structure)) tell(status, data, found.structure);
        return before.call(visualizer[part], found, ...rest);
      };
    }
    tell(status, data, 0);
    place.dataset.ready = "yes";
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-chart]").forEach(draw);
    document.querySelectorAll("[data-view]").forEach((place) => {
      view(place).catch((error) => {
        place.textContent = `The structure cannot be drawn: ${error.message}`;
      });
    });
    const place = document.getElementById("chemiscope");
    if (place) {
      map(place).catch((error) => {
        place.dataset.ready = "no";
        document.getElementById("map-status").textContent = `The map cannot be drawn: ${error.message}`;
      });
    }
  });
})();
