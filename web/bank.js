// The second view: the bank, listed page by page or searched.

import { get, post } from './api.js';
import { byId, count, day, h, replace } from './dom.js';
import { inBox, problemBox, thumbnail } from './parts.js';

const PAGE = 48;

let unit = '';
let next = null;
let listing = null; // what aborts the request that is under way
let shown = 0;

function card(video) {
  const similar = video.similarity !== undefined;
  return h('li', {},
    h('button', { type: 'button', class: 'card', onclick: () => showDetail(video) },
      thumbnail(video.thumbnail_url),
      h('span', { class: 'body' },
        h('span', { class: 'name' }, video.title || 'No title'),
        h('span', { class: 'meta' },
          h('span', {}, h('strong', {}, video.popularity === null || video.popularity === undefined ? '–' : count(video.popularity)), ` ${unit}`),
          h('span', {}, similar ? `similarity ${video.similarity.toFixed(2)}` : video.posted_at ? day(video.posted_at) : '')))));
}

const cards = (videos) => h('ul', { class: 'cards' }, videos.map(card));
const ghosts = () => h('div', { class: 'cards', 'aria-hidden': 'true' }, Array.from({ length: 8 }, () => h('div', { class: 'ghost' })));

function blank(title, text) {
  return h('div', { class: 'blank' }, h('h2', {}, title), h('p', {}, text));
}

function filters() {
  const [sort, order] = byId('sort').value.split(':');
  const from = byId('from').value;
  const to = byId('to').value;
  return {
    sort,
    order,
    q: byId('words').value.trim(),
    from: from && `${from}T00:00:00Z`,
    to: to && `${to}T23:59:59Z`,
  };
}

function say(text) {
  byId('bank-count').textContent = text;
}

function begin() {
  listing?.abort();
  listing = new AbortController();
  byId('more').hidden = true;
  return listing.signal;
}

function showList() {
  const box = byId('bank-list');
  const signal = begin();
  return inBox(box, async () => {
    replace(box, ghosts());
    say('Reading the bank …');
    const asked = filters();
    const page = await get('/v1/videos', { limit: PAGE, ...asked }, signal);
    const filtered = asked.q || asked.from || asked.to;
    say(`${count(page.total)} ${page.total === 1 ? 'video' : 'videos'}`);
    if (page.videos.length === 0) {
      replace(box, filtered
        ? blank('Nothing fits', 'No video of the bank has such a title or time. Take a filter away.')
        : blank('The bank is empty', 'Fill it with mmra ingest; docs/from-your-own-export.md begins with a studio’s export.'));
      return;
    }
    replace(box, cards(page.videos));
    shown = page.videos.length;
    setNext(page.next);
  }, () => { say(''); void showList(); });
}

function setNext(cursor) {
  next = cursor;
  byId('more').hidden = !next;
}

async function showMore() {
  const button = byId('more');
  const signal = listing.signal;
  button.disabled = true;
  button.textContent = 'Loading …';
  try {
    const page = await get('/v1/videos', { limit: PAGE, ...filters(), after: next }, signal);
    const list = byId('bank-list').querySelector('.cards');
    const added = page.videos.map(card);
    list.append(...added);
    shown += added.length;
    setNext(page.next);
    added[0]?.querySelector('button').focus({ preventScroll: true });
  } catch (error) {
    if (error.name !== 'AbortError') byId('bank-list').append(problemBox(error));
  } finally {
    button.disabled = false;
    button.textContent = 'Show more';
  }
}

function search(ask, what) {
  const box = byId('bank-list');
  const signal = begin();
  return inBox(box, async () => {
    replace(box, ghosts());
    say(`Searching for ${what} …`);
    const { results } = await ask(signal);
    replace(byId('bank-count'), `${results.length} most like ${what}. `,
      h('button', { type: 'button', class: 'quiet', onclick: () => { byId('find-text').value = ''; void showList(); } }, 'Back to all videos'));
    replace(box, results.length > 0 ? cards(results) : blank('Nothing found', 'No video of the bank may be retrieved for this.'));
  }, () => search(ask, what));
}

function searchByText() {
  const text = byId('find-text').value.trim();
  if (!text) return showList();
  return search((signal) => get('/v1/search', { text, k: 24 }, signal), `“${text}”`);
}

function searchByClip(file) {
  const form = new FormData();
  form.append('k', '24');
  form.append('video', file, file.name);
  return search((signal) => post('/v1/search', form, { signal }), `the clip ${file.name}`);
}

/** Of one frame; what is said of the frame before is not said again. */
function captionAt(captions, i) {
  return captions?.[i] !== captions?.[i - 1] ? (captions?.[i] ?? '') : '';
}

function showDetail(video) {
  const dialog = byId('detail');
  const box = h('div', { class: 'detail', 'aria-busy': 'true' });
  const close = h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close'));
  const fact = (name, value) => value !== null && value !== undefined && value !== '' && h('div', {}, h('dt', {}, name), h('dd', {}, value));
  const heading = h('h2', { id: 'detail-heading' }, video.title || 'No title');
  replace(dialog, h('div', { class: 'detail' }, heading, box, close));
  dialog.showModal();
  void inBox(box, async () => {
    replace(box, h('p', { class: 'hint' }, 'Reading the record …'));
    const record = await get(`/v1/videos/${encodeURIComponent(video.id)}`);
    const thumbnails = record.thumbnails ?? [];
    replace(box,
      h('dl', { class: 'facts' },
        fact(unit || 'popularity', record.popularity === null ? 'not known' : count(record.popularity)),
        fact('posted', record.posted_at && day(record.posted_at)),
        fact('split', record.split),
        fact('id', record.id),
        Object.entries(record.context ?? {}).map(([name, value]) => fact(name, String(value)))),
      thumbnails.length > 0 && h('div', { class: 'frames' }, thumbnails.map((url, i) =>
        h('figure', {}, thumbnail(url), h('figcaption', {}, captionAt(record.captions, i))))));
  });
}

export function setUnit(text) {
  unit = text;
}

let started = false;

export function openBank() {
  if (!started) {
    started = true;
    byId('find').addEventListener('submit', (event) => {
      event.preventDefault();
      void searchByText();
    });
    byId('find-clip').addEventListener('change', (event) => {
      const [file] = event.target.files;
      event.target.value = '';
      if (file) void searchByClip(file);
    });
    let waiting = 0;
    byId('filter').addEventListener('input', () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => void showList(), 250);
    });
    byId('filter').addEventListener('submit', (event) => event.preventDefault());
    byId('more').addEventListener('click', () => void showMore());
  }
  if (byId('bank-list').childElementCount === 0) void showList();
}
