// A curve of one figure over time, drawn by uPlot (vendor/). What is not known is a gap, never a zero.
//
// Who can't see it gets the same in words: a sentence as the picture's name, and for large charts a table.

import { at, keyed, make, show } from "./dom.js";
import { clock, NOTHING } from "./format.js";

const SMALL_HEIGHT = 40;
const LARGE_HEIGHT = 140;
// Of a large chart the outermost labels need room.
const PADDING = { large: [10, 18, 0, 0], small: [4, 0, 4, 0] };

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Draws into an element; `large` has axes and a table, else it is a sparkline. */
export class Chart {
  constructor(parent, { large = false } = {}) {
    this.large = large;
    this.canvas = make("div", { class: "chart" });
    parent.append(this.canvas);
    if (large) {
      this.rows = make("tbody");
      this.head = make("th", { scope: "col" });
      const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "From"), this.head));
      const table = make("table", {}, head, this.rows);
      parent.append(make("details", {}, make("summary", {}, "Show as table"), table));
    }
    this.plot = null;
    this.data = null;
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    // A canvas keeps the colours that it was drawn with.
    dark.addEventListener("change", () => this.plot?.redraw());
  }

  /**
   * Shows `values[i]` (null: not known) from `startMs[i]` on. `name` says what it is ("Orders a minute"), `words` puts
   * a value into words.
   */
  show({ name, startMs, values, words }) {
    // Only now: a picture without a name tells nothing to who can't see it.
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", describe(name, values, words));
    if (this.large) this.fillTable(name, startMs, values, words);
    this.data = [startMs.map((ms) => ms / 1_000), values];
    this.words = words;
    if (this.plot === null) this.fit();
    else this.plot.setData(this.data);
  }

  /** Forgets what was shown. */
  clear() {
    this.canvas.removeAttribute("role");
    this.canvas.removeAttribute("aria-label");
    this.rows?.replaceChildren();
    this.data = null;
    this.plot?.destroy();
    this.plot = null;
  }

  fit() {
    const width = Math.floor(this.canvas.clientWidth);
    if (width === 0 || this.data === null) return;
    const size = { width, height: this.large ? LARGE_HEIGHT : SMALL_HEIGHT };
    if (this.plot === null) this.plot = new uPlot({ ...this.options(), ...size }, this.data, this.canvas);
    else if (this.plot.width !== width) this.plot.setSize(size);
  }

  options() {
    const colour = (name) => () => getComputedStyle(this.canvas).getPropertyValue(name);
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const axes = this.large
      ? [{ ...axis, size: 24, values: (_plot, ticks) => ticks.map((s) => clock(s * 1_000).slice(0, 5)) },
         { ...axis, size: 64, values: (_plot, ticks) => ticks.map((value) => this.words(value)) }]
      : [{ show: false }, { show: false }];
    return {
      padding: this.large ? PADDING.large : PADDING.small,
      cursor: { show: false },
      legend: { show: false },
      axes,
      scales: { y: { range: (_plot, low, high) => [Math.min(low ?? 0, 0), Math.max(high ?? 0, 1)] } },
      series: [{}, { stroke: colour("--accent"), fill: colour("--shade"), width: 2 }],
    };
  }

  fillTable(name, startMs, values, words) {
    show(this.head, name);
    const rows = startMs.map((ms, index) => [ms, values[index]]);
    const row = ([ms]) => make("tr", {}, make("th", { scope: "row" }, clock(ms).slice(0, 5)), make("td"));
    keyed(this.rows, rows, ([ms]) => ms, row, (node, [, value]) => {
      show(node.lastChild, value === null ? NOTHING : words(value));
    });
  }
}

function describe(name, values, words) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${name}: not known`;
  const low = words(Math.min(...known));
  const high = words(Math.max(...known));
  return `${name}: last ${words(known.at(-1))}, lowest ${low}, highest ${high}, over ${known.length} steps`;
}

/** Of an answer of /api/v1/series: one figure, without the step that is not over yet, which would look like a fall. */
export function wholeSteps(series, figure) {
  const values = series.figures?.[figure] ?? [];
  return series.start_ms.map((startMs, index) => {
    const isOver = series.as_of_ms !== null && startMs + series.step_ms <= series.as_of_ms;
    return isOver ? values[index] ?? null : null;
  });
}

/** "a minute", "an hour": what one step of a series is. */
export const perStep = (series) => (series.step_ms >= 3_600_000 ? "an hour" : "a minute");

/** A chart in the element with this id. */
export const chartIn = (id, options) => new Chart(at(id), options);
