// Two charts, drawn for the width that there is, so that their text keeps its size on a phone.

import { count, h, s, short } from './dom.js';

/** Calls draw(width) now and whenever the width of the figure changes. */
function responsive(figure, draw) {
  const box = h('div', {});
  figure.prepend(box);
  let drawn = 0;
  const redraw = () => {
    const width = Math.round(box.clientWidth);
    if (width === 0 || width === drawn) return;
    drawn = width;
    box.replaceChildren(draw(width));
  };
  new ResizeObserver(redraw).observe(box);
  return figure;
}

const log2 = (value) => Math.log2(Math.max(value, 1e-9));

/** Powers of ten, or 1-2-5 where there is room, between two log2 values. */
function ticks(low, high, room) {
  const decades = (high - low) / Math.log2(10);
  const digits = decades * 3 <= room ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(low / Math.log2(10)); power <= high / Math.log2(10); power += 1) {
    for (const digit of digits) {
      const value = digit * 10 ** power;
      if (value >= 1 && log2(value) >= low && log2(value) <= high) found.push(value);
    }
  }
  const every = Math.max(1, Math.ceil(found.length / room));
  return found.filter((_, i) => i % every === 0);
}

/**
 * The bank's distribution on a log scale with the prediction and its interval on it.
 * distribution: {edges: [log2 …], counts}; prediction: popularity, interval {low, high}, percentile.
 */
export function scale(distribution, prediction, unit) {
  const { edges, counts } = distribution;
  const { low, high, level } = prediction.interval;
  const bounded = Number.isFinite(high) && high !== null;
  const point = log2(prediction.popularity);
  const from = Math.min(edges[0], bounded ? log2(Math.max(low, 1)) : point, point);
  const to = Math.max(edges[edges.length - 1], bounded ? log2(high) : point, point);
  const total = counts.reduce((sum, n) => sum + n, 0);
  const sure = Math.round(100 * level);
  const label = `Scale from ${count(2 ** from)} to ${count(2 ** to)} ${unit}. The prediction is ` +
    `${count(prediction.popularity)}` +
    (bounded ? `, with ${sure} % confidence between ${count(low)} and ${count(high)}` : '') +
    `. More than ${Math.round(prediction.percentile)} % of the bank’s ${count(total)} videos.`;

  const draw = (width) => {
    const height = 150;
    const top = 30;
    const base = top + height;
    const x = (value) => ((value - from) / (to - from || 1)) * width;
    const tallest = Math.max(1, ...counts);
    const svg = s('svg', { viewBox: `0 0 ${width} ${base + 26}`, height: base + 26, role: 'img', 'aria-label': label });
    if (bounded) {
      svg.append(s('rect', { class: 'band', x: x(log2(Math.max(low, 2 ** from))), y: top, width: Math.max(1, x(log2(high)) - x(log2(Math.max(low, 2 ** from)))), height }));
    }
    counts.forEach((n, i) => {
      if (n === 0) return;
      const left = x(edges[i]);
      const tall = Math.max(1.5, (n / tallest) * (height - 14));
      const middle = 2 ** ((edges[i] + edges[i + 1]) / 2);
      const inside = bounded && middle >= low && middle <= high;
      svg.append(s('rect', { class: inside ? 'bar in' : 'bar', x: left + 0.75, y: base - tall, width: Math.max(1, x(edges[i + 1]) - left - 1.5), height: tall, rx: 2 }));
    });
    if (bounded) {
      for (const end of [log2(Math.max(low, 2 ** from)), log2(high)]) {
        svg.append(s('line', { class: 'edge', x1: x(end), x2: x(end), y1: top, y2: base }));
      }
    }
    svg.append(s('line', { class: 'axis', x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5 }));
    for (const value of ticks(from, to, Math.max(2, Math.floor(width / 64)))) {
      const at = x(log2(value));
      const anchor = at < 16 ? 'start' : at > width - 16 ? 'end' : 'middle';
      svg.append(s('text', { x: at, y: base + 19, 'text-anchor': anchor }, short(value)));
    }
    const at = x(point);
    const text = count(prediction.popularity);
    const anchor = at < 40 ? 'start' : at > width - 40 ? 'end' : 'middle';
    svg.append(
      s('line', { class: 'mark', x1: at, x2: at, y1: top - 6, y2: base }),
      s('circle', { class: 'dot', cx: at, cy: top - 6, r: 6 }),
      s('text', { class: 'strong', x: anchor === 'middle' ? at : at + (anchor === 'start' ? 10 : -10), y: anchor === 'middle' ? top - 18 : top - 2, 'text-anchor': anchor }, text));
    return svg;
  };
  return responsive(
    h('figure', { class: 'chart' },
      h('figcaption', {},
        `How many ${unit} the ${count(total)} videos of the bank have, on a logarithmic scale. `,
        bounded ? `The shaded part is the ${sure}\u00a0% interval.` : 'The bank is too small for an interval: its calibration rows are too few.')),
    draw);
}

/** Lines over epochs: series [{name, values}] share the x axis, each has its own y scale from 0. */
export function lines(series, xName) {
  const length = Math.max(...series.map((one) => one.values.length));
  const label = series
    .map((one) => `${one.name} from ${one.values[0]?.toFixed(3)} to ${one.values.at(-1)?.toFixed(3)}`)
    .join('; ');
  const draw = (width) => {
    const height = 180;
    const svg = s('svg', { viewBox: `0 0 ${width} ${height + 30}`, height: height + 30, role: 'img', 'aria-label': `Over ${length} epochs: ${label}` });
    const x = (i) => (length < 2 ? width / 2 : 4 + (i / (length - 1)) * (width - 8));
    for (const share of [0, 0.5, 1]) {
      const y = 6 + share * (height - 6);
      svg.append(s('line', { class: share === 1 ? 'axis' : 'grid', x1: 0, x2: width, y1: y, y2: y }));
    }
    series.forEach((one, index) => {
      const largest = Math.max(1e-9, ...one.values.filter((value) => Number.isFinite(value)));
      const points = one.values
        .map((value, i) => (Number.isFinite(value) ? `${x(i)},${height - (value / largest) * (height - 6)}` : null))
        .filter((point) => point);
      svg.append(s('polyline', { class: `series-${index % 2}`, points: points.join(' ') }));
    });
    svg.append(
      s('text', { x: 0, y: height + 20 }, '1'),
      s('text', { x: width / 2, y: height + 20, 'text-anchor': 'middle' }, xName),
      s('text', { x: width, y: height + 20, 'text-anchor': 'end' }, length));
    return svg;
  };
  return responsive(h('figure', { class: 'chart' }), draw);
}

/** Where a span lies on the log scale of a bank, in percent of its width. */
export function placeOn(distribution, ...values) {
  const from = distribution.edges[0];
  const to = distribution.edges[distribution.edges.length - 1];
  return values.map((value) =>
    Math.min(100, Math.max(0, (100 * (log2(Math.max(value ?? Infinity, 1e-9)) - from)) / (to - from || 1))));
}
