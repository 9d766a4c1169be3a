/** Small plots as SVG, each with a description and a table of the same numbers for those who do not see it. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDE = 520;
/** On a phone the drawing is as wide as it is shown, so that its labels keep their size. */
const NARROW = 320;
const HEIGHT = 170;
const LEFT = 40;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const GAP = 0.3;
let plots = 0;

/** @param {string} tag @param {Record<string, any>} attributes @param {...(Node | string)} children */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Return a round number at or above the largest value, so that three or four lines fit. @param {number} largest */
export function roundUp(largest) {
  if (!(largest > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(largest));
  return unit * (/** @type {number} */ ([1, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= largest * 0.999)));
}

/**
 * Return a plot of bars, one a day, each stacked of several series.
 * @param {{title: string, days: string[], labels: string[], series: {name: string, kind: string, values: number[]}[], format: (value: number) => string}} data
 */
export function bars({ title, days, labels, series, format }) {
  const totals = days.map((_, day) => series.reduce((sum, each) => sum + each.values[day], 0));
  const top = roundUp(Math.max(...totals, 0));
  const width = matchMedia("(max-width: 760px)").matches ? NARROW : WIDE;
  const step = (width - LEFT - RIGHT) / Math.max(1, days.length);
  const y = (/** @type {number} */ value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const drawing = frame(width, title, describe(title, totals, labels, format));
  const isCounted = series.every((each) => each.values.every(Number.isInteger));
  for (const value of [0, top / 2, top].filter((each) => !isCounted || Number.isInteger(each))) {
    drawing.append(svg("line", { class: "plot-line", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    drawing.append(svg("text", { class: "plot-label", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  days.forEach((day, index) => {
    const x = LEFT + index * step + (step * GAP) / 2;
    let base = 0;
    for (const each of series) {
      const value = each.values[index];
      if (value > 0) {
        const tip = svg("title", {}, `${labels[index]} · ${each.name}: ${format(value)}`);
        drawing.append(svg("rect", { class: `plot-bar ${each.kind}`, x, y: y(base + value), width: step * (1 - GAP), height: Math.max(1, y(base) - y(base + value)), rx: 2 }, tip));
      }
      base += value;
    }
    if ((days.length - 1 - index) % Math.ceil(days.length / (width / 87)) === 0) {
      drawing.append(svg("text", { class: "plot-label", x: x + (step * (1 - GAP)) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, labels[index]));
    }
  });
  const rows = days.map((_, index) => [labels[index], ...series.map((each) => format(each.values[index]))]).reverse();
  return plot(title, drawing, series.length > 1 ? legend(series) : null, table([t("plot.day"), ...series.map((each) => each.name)], rows, title));
}

/** @param {string} title @param {number[]} totals @param {string[]} labels @param {(value: number) => string} format */
function describe(title, totals, labels, format) {
  const most = totals.indexOf(Math.max(...totals));
  if (most < 0) return title;
  return t("plot.description", { title, from: labels[0], to: labels[labels.length - 1], most: format(totals[most]), day: labels[most] });
}

/** @param {number} width @param {string} title @param {string} description */
function frame(width, title, description) {
  plots += 1;
  const ids = [`plot-title-${plots}`, `plot-text-${plots}`];
  return svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-labelledby": ids.join(" ") },
    svg("title", { id: ids[0] }, title),
    svg("desc", { id: ids[1] }, description),
  );
}

/** @param {string} title @param {Node} drawing @param {Node | null} key @param {Node} numbers */
function plot(title, drawing, key, numbers) {
  return h(
    "figure",
    { class: "plot-figure" },
    h("figcaption", null, h("h3", null, title), key),
    drawing,
    h("details", { class: "disclosure plot-table" }, h("summary", { class: "small muted" }, t("plot.table")), h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": title }, numbers)),
  );
}

/** @param {{name: string, kind: string}[]} series */
function legend(series) {
  return h("ul", { class: "plot-legend small muted" }, series.map((each) => h("li", null, h("span", { class: `plot-key ${each.kind}`, "aria-hidden": "true" }), each.name)));
}

/** @param {string[]} heads @param {string[][]} rows @param {string} caption */
function table(heads, rows, caption) {
  return h(
    "table",
    { class: "table" },
    h("caption", { class: "visually-hidden" }, caption),
    h("thead", null, h("tr", null, heads.map((head, index) => h("th", { scope: "col", class: index ? "number" : null }, head)))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, index) => (index ? h("td", { class: "number" }, cell) : h("th", { scope: "row" }, cell)))))),
  );
}

/**
 * Return a list of bars that lie, each with its words and number: it is read as it is, without a table.
 * @param {{label: string, below?: string, value: number}[]} rows
 * @param {string} kind
 * @param {(value: number) => string} format
 */
export function lyingBars(rows, kind, format) {
  const largest = Math.max(1, ...rows.map((row) => row.value));
  return h(
    "ul",
    { class: "lying-bars" },
    rows.map((row) => {
      const fill = h("span");
      fill.style.width = `${(100 * row.value) / largest}%`;
      return h(
        "li",
        null,
        h("div", { class: "lying-words" }, h("span", null, row.label, row.below && h("code", { class: "small muted" }, row.below)), h("strong", null, format(row.value))),
        h("div", { class: `bar ${kind}`, "aria-hidden": "true" }, fill),
      );
    }),
  );
}
