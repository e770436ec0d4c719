// Elements are made here and nowhere from text: names, titles and captions come from strangers, and
// only ever become text nodes and attribute values.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** An HTML element: h('p', {class: 'hint'}, 'text', element, …). */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child));
}

// Numbers as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

export function count(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '∞';
  if (value >= 1e7) return compact.format(value);
  return value < 10 ? small.format(value) : whole.format(value);
}

export const short = (value) => compact.format(value);
export const percent = (share) => `${Math.floor(100 * share + 1e-9)}\u00a0%`;

/** A change of log2 as a factor: "×1.25". */
export const times = (log2) => `×${(2 ** log2).toFixed(2)}`;
export const direction = (log2) => (Math.abs(log2) < 0.005 ? '' : log2 > 0 ? 'up' : 'down');

export function day(text) {
  const time = new Date(text);
  return Number.isNaN(time.getTime())
    ? ''
    : time.toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

export function unitOf(answer) {
  return answer.unit || 'in the bank’s unit';
}

export function bytes(size) {
  return size >= 1e6 ? `${(size / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(size / 1e3))} kB`;
}
