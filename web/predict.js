// The first view: a clip and a title in, a number with its reasons out.

import { post, stream } from './api.js';
import { placeOn, scale } from './charts.js';
import { byId, bytes, count, h, percent, replace, s, unitOf } from './dom.js';
import { effectList, frameList, inBox, instanceList } from './parts.js';

const MAX_TITLES = 20; // what the service compares at once

let clip = null;
let running = null;

/** What the form says, as the service wants it: JSON, or a form where there is a clip. */
function request(titles) {
  const known = {};
  const postedAt = byId('posted-at').value;
  if (postedAt) known.posted_at = new Date(postedAt).toISOString();
  const context = {};
  for (const input of document.querySelectorAll('#context-fields input')) {
    const value = input.value.trim();
    if (value !== '') context[input.dataset.column] = input.type === 'number' ? Number(value) : value;
  }
  if (Object.keys(context).length > 0) known.context = context;
  const several = titles.length > 1;
  if (!clip) return several ? { titles, ...known } : { title: titles[0], ...known };
  const form = new FormData();
  // First what is small: the service can refuse before the clip has come.
  for (const title of titles) if (title || several) form.append('title', title);
  if (known.posted_at) form.append('posted_at', known.posted_at);
  if (known.context) form.append('context', JSON.stringify(known.context));
  form.append('video', clip, clip.name);
  return form;
}

function setClip(file) {
  clip = file ?? null;
  byId('drop-empty').hidden = Boolean(clip);
  byId('drop-full').hidden = !clip;
  byId('clip-remove').hidden = !clip;
  const preview = byId('preview');
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.removeAttribute('src');
  preview.removeAttribute('poster');
  if (!clip) {
    byId('clip').value = '';
    return;
  }
  byId('clip-name').textContent = clip.name;
  byId('clip-size').textContent = bytes(clip.size);
  preview.src = URL.createObjectURL(clip);
}

function showStart() {
  const art = s('svg', { viewBox: '0 0 280 80', width: 280, height: 80, 'aria-hidden': 'true' },
    [6, 14, 26, 42, 58, 66, 60, 46, 32, 22, 14, 9, 5].map((tall, i) =>
      s('rect', { x: 6 + i * 21, y: 76 - tall, width: 15, height: tall, rx: 3, fill: 'currentColor' })));
  replace(byId('answer'),
    h('div', { class: 'blank' }, art,
      h('h2', {}, 'The answer appears here'),
      h('p', {}, 'A number, how sure it is, the past videos it rests on, and what each part of the clip does to it.')));
}

/** The work as it goes on: steps, then frames, captions and neighbours as they come. */
class Progress {
  constructor(box, hasClip) {
    const names = hasClip
      ? ['Looking at frames', 'Describing them', 'Finding similar videos', 'Predicting']
      : ['Reading the title', 'Finding similar videos', 'Predicting'];
    this.steps = names.map((name) => h('li', {}, name));
    this.at = 0;
    this.frames = h('div', {});
    this.neighbours = h('div', {});
    this.note = h('p', { class: 'waiting' });
    this.hasClip = hasClip;
    replace(box,
      h('div', { class: 'panel' },
        h('ul', { class: 'steps' }, this.steps), this.note, this.frames, this.neighbours));
    this.mark();
    this.timer = setTimeout(() => this.say('Still at it. A long clip, or encoders that describe every frame, can take a minute.'), 6000);
  }
  mark() {
    this.steps.forEach((step, i) => {
      step.className = i < this.at ? 'done' : i === this.at ? 'now' : '';
      if (i === this.at) step.setAttribute('aria-current', 'step');
      else step.removeAttribute('aria-current');
    });
  }
  say(text) { this.note.textContent = text; }
  to(step) {
    this.at = Math.max(this.at, step);
    this.mark();
  }
  on(name, data) {
    const offset = this.hasClip ? 0 : -1;
    if (name === 'frames') {
      this.shown = data.frames ?? [];
      replace(this.frames, frameList(this.shown));
      // What the browser cannot play, the service could read.
      if (this.shown.length > 0) byId('preview').poster = this.shown[0].thumbnail;
      this.to(1);
    } else if (name === 'captions') {
      (data.captions ?? []).forEach((caption, i) => { if (this.shown?.[i]) this.shown[i].caption = caption; });
      if (this.shown) replace(this.frames, frameList(this.shown));
      this.to(2);
    } else if (name === 'neighbours') {
      replace(this.neighbours, instanceList((data.instances ?? []).slice(0, 5), { unit: '', used: false }));
      this.to(3 + offset);
    }
  }
  end() { clearTimeout(this.timer); }
}

const kPartNames = { video: 'The clip', title: 'The title', retrieval: 'The past videos' };

function headline(answer) {
  const unit = unitOf(answer);
  const { low, high, level } = answer.interval;
  const bounded = high !== null && Number.isFinite(high);
  return h('section', { class: 'panel headline rise', 'aria-labelledby': 'result-heading' },
    h('h2', { id: 'result-heading', class: 'visually-hidden' }, 'Prediction'),
    h('p', {}, h('span', { class: 'number', id: 'number' }, count(answer.popularity)), ' ',
      h('span', { class: 'unit' }, unit, answer.horizon ? ` after ${answer.horizon}` : '')),
    h('p', { class: 'sentence' },
      bounded
        ? [`With ${Math.round(100 * level)}\u00a0% confidence between `, h('strong', {}, `${count(low)} and ${count(high)}`), '. ']
        : 'The model’s calibration rows are too few for an interval. ',
      'That is more than ', h('strong', {}, `${Math.round(answer.percentile)}\u00a0%`), ' of the bank’s videos have.'),
    answer.warning && h('p', { class: 'form-error' }, answer.warning),
    answer.distribution?.counts?.length > 0 && scale(answer.distribution, answer, unit));
}

function reasons(answer) {
  const parts = answer.parts ?? [];
  if (parts.length === 0) return null;
  const words = h('div', { class: 'words' });
  return h('section', { class: 'panel rise', 'aria-labelledby': 'parts-heading' },
    h('h2', { id: 'parts-heading' }, 'What each part does'),
    h('p', { class: 'sub' }, 'By how much the prediction would change without it: ×2 means that it doubles the number.'),
    effectList(parts.map((part) => ({ name: kPartNames[part.part] ?? part.part, log2: part.effect_log2 })), 'Effect of each part'),
    wordsBox(answer, words));
}

function segments(title) {
  if (Intl.Segmenter) {
    return [...new Intl.Segmenter(undefined, { granularity: 'word' }).segment(title)];
  }
  return [...title.matchAll(/\S+/g)].map((found) => ({ segment: found[0], index: found.index, isWordLike: true }));
}

/** The title without each of its words in turn, as the service is asked about it. */
function titlesWithoutEach(title) {
  const seen = new Set([title]);
  const found = [];
  for (const { segment, index, isWordLike } of segments(title)) {
    if (!isWordLike || found.length === MAX_TITLES - 1) continue;
    const without = `${title.slice(0, index)}${title.slice(index + segment.length)}`.replace(/\s+/g, ' ').trim();
    if (seen.has(without) || (without === '' && !clip)) continue;
    seen.add(without);
    found.push({ word: segment, without });
  }
  return found;
}

function wordsBox(answer, box) {
  const title = answer.asked.title;
  const words = title ? titlesWithoutEach(title) : [];
  if (words.length === 0) return null;
  const ask = () =>
    inBox(box, async () => {
      replace(box, h('p', { class: 'hint', role: 'status' }, 'Asking again without each word …'));
      const compared = await post('/v1/compare', request([title, ...words.map((word) => word.without)]));
      const whole = compared.results[0].log2;
      const effects = words.map((word, i) => ({ name: word.word, log2: whole - compared.results[i + 1].log2 }));
      effects.sort((a, b) => b.log2 - a.log2);
      replace(box,
        h('h3', {}, 'Each word of the title'),
        h('p', { class: 'hint' }, 'The prediction against that of the title without the word. Small effects mean little.'),
        effectList(effects, 'Effect of each word'));
      box.querySelector('h3').scrollIntoView({ block: 'nearest' });
    }, ask);
  replace(box, h('button', { type: 'button', id: 'words-button', onclick: ask }, 'See what each word does'));
  return box;
}

function framesPanel(answer) {
  const effects = answer.frame_effects_log2 ?? [];
  const frames = (answer.frames ?? []).map((frame, i) => ({ ...frame, effect_log2: effects[i] }));
  if (frames.length === 0) return null;
  return h('section', { class: 'panel rise', 'aria-labelledby': 'frames-heading' },
    h('h2', { id: 'frames-heading' }, 'What it saw'),
    h('p', { class: 'sub' }, effects.length > 0
      ? 'The frames that were looked at, what each does to the prediction, and what was made of them.'
      : 'The frames that were looked at, and what was made of them.'),
    frameList(frames));
}

function instancesPanel(answer) {
  const used = answer.instances_used !== false;
  const instances = answer.instances ?? [];
  return h('section', { class: 'panel rise', 'aria-labelledby': 'instances-heading' },
    h('h2', { id: 'instances-heading' }, used ? 'The past videos that moved it' : 'Past videos to compare with'),
    h('p', { class: 'sub' },
      instances.length === 0
        ? 'The bank has no video that this one may be compared with.'
        : used
          ? 'The most similar of the bank. The bar is how much each counted, the factor what it does to the number.'
          : 'The most similar of the bank. This model does not look at them.'),
    instances.length > 0 && instanceList(instances, { unit: unitOf(answer), used }));
}

function tryOthers(answer) {
  const box = h('div', { class: 'tries' });
  const outcome = h('div', { 'aria-live': 'polite', id: 'comparison' });
  const add = (focus) => {
    const number = box.children.length + 1;
    if (number >= MAX_TITLES) return;
    const input = h('input', { type: 'text', maxlength: 2000, 'aria-label': `Other title ${number}`, placeholder: 'Another title', autocomplete: 'off', class: 'other-title' });
    const row = h('div', { class: 'try' }, input,
      h('button', { type: 'button', class: 'quiet', 'aria-label': `Remove other title ${number}`, onclick: () => { row.remove(); } }, 'Remove'));
    box.append(row);
    if (focus) input.focus();
  };
  add(false);
  add(false);
  const error = h('p', { class: 'form-error', role: 'alert', hidden: true });
  const compare = (event) => {
    event?.preventDefault();
    const others = [...box.querySelectorAll('input')].map((input) => input.value.trim()).filter((title) => title);
    const titles = [...new Set([answer.asked.title, ...others])].filter((title) => title || clip);
    error.hidden = titles.length >= 2;
    error.textContent = 'Type at least one other title.';
    if (titles.length < 2) return;
    void inBox(outcome, async () => {
      replace(outcome, h('p', { class: 'waiting', role: 'status' }, `Comparing ${titles.length} titles …`));
      const compared = await post('/v1/compare', request(titles), { note: (text) => replace(outcome, h('p', { class: 'waiting' }, text)) });
      replace(outcome, comparison(compared, answer.distribution));
    }, compare);
  };
  return h('section', { class: 'panel rise', 'aria-labelledby': 'tries-heading' },
    h('h2', { id: 'tries-heading' }, 'Try other titles'),
    h('p', { class: 'sub' }, 'The same clip under other titles, side by side with this one.'),
    h('form', { onsubmit: compare, novalidate: true }, box, error,
      h('div', { class: 'row', style: { marginTop: '12px' } },
        h('button', { type: 'submit', class: 'primary', id: 'compare-button' }, 'Compare'),
        h('button', { type: 'button', onclick: () => add(true) }, 'One more'))),
    outcome);
}

function comparison(compared, distribution) {
  const order = compared.results.map((_, i) => i).sort((a, b) => compared.results[b].log2 - compared.results[a].log2);
  const best = compared.results[compared.best];
  const pairWithBest = (i) =>
    compared.pairs.find((pair) => pair.a === Math.min(i, compared.best) && pair.b === Math.max(i, compared.best));
  return [
    h('p', { class: 'verdict' }, compared.verdict),
    h('ol', { class: 'ranking' }, order.map((i) => {
      const result = compared.results[i];
      const pair = pairWithBest(i);
      const [left, right, at] = placeOn(distribution, result.interval.low, result.interval.high, result.popularity);
      const remarks = [`${count(result.interval.low)} – ${count(result.interval.high)}`];
      if (pair) remarks.push(`${percent(2 ** (result.log2 - best.log2))} of the best`);
      return h('li', {},
        h('div', { class: 'line' }, h('span', { class: 'name' }, result.title || 'No title'),
          h('strong', {}, count(result.popularity))),
        h('div', { class: 'span', 'aria-hidden': 'true' },
          h('i', { style: { left: `${left}%`, width: `${Math.max(0.5, right - left)}%` } }),
          h('b', { style: { left: `${at}%` } })),
        h('p', { class: 'meta' }, remarks.join(' · '), ' ',
          i === compared.best && h('span', { class: 'tag good' }, 'best'),
          pair && h('span', { class: 'tag' }, pair.certain ? 'clearly behind' : 'not clearly behind')));
    })),
  ];
}

function show(answer) {
  replace(byId('answer'), headline(answer), reasons(answer), tryOthers(answer), framesPanel(answer), instancesPanel(answer));
}

async function ask() {
  const error = byId('ask-error');
  const title = byId('title').value.trim();
  error.hidden = Boolean(title || clip);
  error.textContent = 'Give a clip, a title, or both.';
  if (!title && !clip) {
    byId('title').focus();
    return;
  }
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const button = byId('ask-button');
  button.textContent = 'Predicting …';
  const box = byId('answer');
  const progress = new Progress(box, Boolean(clip));
  if (window.matchMedia('(max-width: 860px)').matches) box.scrollIntoView({ block: 'start' });
  await inBox(box, async () => {
    try {
      const answer = await stream('/v1/predict', request([title]), {
        on: (name, data) => progress.on(name, data),
        note: (text) => progress.say(text),
        signal: mine.signal,
      });
      answer.asked = { title };
      show(answer);
    } finally {
      progress.end();
    }
  }, ask);
  if (running === mine) {
    button.textContent = 'Predict';
    running = null;
  }
}

/** Fields for the bank's context columns, so that a person need not know their names. */
export function offerContext(columns) {
  replace(byId('context-fields'), Object.entries(columns ?? {}).map(([name, type], i) =>
    h('div', { class: 'field' },
      h('label', { for: `context-${i}` }, name),
      h('input', { id: `context-${i}`, 'data-column': name, type: type === 'number' ? 'number' : 'text', step: 'any', autocomplete: 'off' }))));
}

export function startPredict() {
  showStart();
  const drop = byId('drop');
  byId('clip').addEventListener('change', (event) => {
    if (event.target.files.length > 0) setClip(event.target.files[0]);
  });
  for (const name of ['dragenter', 'dragover']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add('over');
    });
  }
  for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files?.[0];
    if (file) setClip(file);
  });
  // A clip that misses the field must not make the browser leave the page.
  for (const name of ['dragover', 'drop']) window.addEventListener(name, (event) => event.preventDefault());
  byId('clip-remove').addEventListener('click', () => {
    setClip(null);
    byId('clip').focus();
  });
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    void ask();
  });
  byId('title').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      byId('ask').requestSubmit();
    }
  });
}
