// What several views show.

import { Problem, pictureAddress } from './api.js';
import { count, day, h, percent, replace, s, times, direction } from './dom.js';

/** A thumbnail, or a quiet stand-in where there is none. Decorative: the title stands beside it. */
export function thumbnail(url) {
  const standIn = () =>
    h('div', { class: 'thumb', 'aria-hidden': 'true' },
      s('svg', { viewBox: '0 0 24 24', width: 22, height: 22 },
        s('path', { d: 'M9 7.5v9l7-4.5z', fill: 'currentColor' })));
  if (!url) return standIn();
  const image = h('img', { class: 'thumb', alt: '', loading: 'lazy', decoding: 'async' });
  image.addEventListener('error', () => image.replaceWith(standIn()), { once: true });
  pictureAddress(url).then(
    (address) => { image.src = address; },
    () => image.replaceWith(standIn()),
  );
  return image;
}

/** A failure, for people; `again` is what the button does. */
export function problemBox(error, again) {
  const problem = error instanceof Problem
    ? error
    : { message: 'Something went wrong in this page', detail: String(error?.message ?? error) };
  return h('div', { class: 'problem rise', role: 'alert' },
    h('h2', {}, problem.message),
    problem.detail && h('p', {}, problem.detail),
    problem.hint && h('p', {}, problem.hint),
    again && h('div', { class: 'row' }, h('button', { type: 'button', onclick: again }, 'Try again')));
}

export function effectList(effects, label) {
  const largest = Math.max(0.25, ...effects.map((effect) => Math.abs(effect.log2)));
  return h('ul', { class: 'effects', 'aria-label': label },
    effects.map((effect) => {
      const width = `${(50 * Math.abs(effect.log2)) / largest}%`;
      return h('li', { class: direction(effect.log2) },
        h('span', { class: 'name', title: effect.name }, effect.name),
        h('span', { class: 'track', 'aria-hidden': 'true' },
          h('span', { class: 'fill', style: { width } })),
        h('span', { class: 'value' }, times(effect.log2)));
    }));
}

export function instanceList(instances, { unit, used = true }) {
  const heaviest = Math.max(1e-9, ...instances.map((instance) => instance.weight ?? 0));
  return h('ol', { class: 'instances' },
    instances.map((instance) => {
      const effect = instance.effect_log2;
      const meta = [];
      if (instance.similarity !== undefined) meta.push(`similarity ${instance.similarity.toFixed(2)}`);
      if (used && instance.weight !== undefined) meta.push(`weight ${percent(instance.weight)}`);
      if (instance.posted_at) meta.push(day(instance.posted_at));
      return h('li', { class: 'rise' },
        thumbnail(instance.thumbnail_url),
        h('div', {},
          h('p', { class: 'name', title: instance.title }, instance.title || 'No title'),
          h('p', { class: 'meta' }, meta.join(' · ')),
          used && instance.weight > 0 && h('div', { class: 'weight', 'aria-hidden': 'true' },
            h('span', { style: { width: `${(100 * instance.weight) / heaviest}%` } }))),
        h('div', { class: 'figures' },
          h('strong', {}, count(instance.popularity)),
          h('span', { class: 'hint' }, unit),
          effect !== undefined && direction(effect) !== '' &&
            h('div', { class: `times ${direction(effect)}` },
              h('span', { class: 'visually-hidden' }, 'makes the prediction '), times(effect))));
    }));
}

export function frameList(frames) {
  return h('div', { class: 'frames' },
    frames.map((frame, i) =>
      h('figure', { class: 'rise' },
        h('img', { src: frame.thumbnail, alt: '', width: 128, height: 96 }),
        h('figcaption', {},
          frame.time_s === undefined || frame.time_s === null ? '' : `${frame.time_s.toFixed(1)} s `,
          frame.effect_log2 !== undefined &&
            h('span', { class: `times ${direction(frame.effect_log2)}` },
              h('span', { class: 'visually-hidden' }, 'makes the prediction '), `${times(frame.effect_log2)} `),
          // What is said of the frame before is not said again.
          (frame.caption !== frames[i - 1]?.caption && frame.caption) || ''))));
}

/** Runs `work` with `box` marked busy, and shows in it what went wrong. */
export async function inBox(box, work, again) {
  box.setAttribute('aria-busy', 'true');
  try {
    await work();
  } catch (error) {
    if (error.name === 'AbortError') return;
    replace(box, problemBox(error, again));
  } finally {
    box.setAttribute('aria-busy', 'false');
  }
}
