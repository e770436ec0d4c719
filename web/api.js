// The service's HTTP API. Every failure becomes a Problem (RFC 9457), be it an answer of the service
// or a lost connection.

import { byId } from './dom.js';

const TOKEN = 'mmra-token';

export class Problem extends Error {
  constructor({ title, detail, hint, status, code }) {
    const known = code === 'invalid_video' ? 'This clip cannot be read' : TITLES[status];
    super(known ?? title ?? `The service answered ${status}`);
    this.detail = sentence(detail);
    this.hint = sentence(hint);
    this.status = status;
    this.code = code;
  }
}

function headers(more) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, Authorization: `Bearer ${token}` } : { ...more };
}

async function problemOf(response) {
  let fields = {};
  try {
    fields = await response.json();
  } catch {
    // Not the service's own answer: a proxy's, or half of one.
  }
  return new Problem({ ...fields, status: response.status });
}

// The service's own titles are those of HTTP, which say little to most people.
const TITLES = {
  400: 'This cannot be answered',
  403: 'This token does not allow it',
  404: 'It is not there',
  408: 'The connection was too slow',
  413: 'The clip is too large',
  415: 'This kind of file is not taken',
  422: 'This cannot be answered',
  429: 'The service is busy',
  500: 'Something went wrong in the service',
  503: 'The service is not ready',
  504: 'It took too long',
};

/** "a title is empty" → "A title is empty." */
function sentence(text) {
  if (!text) return text;
  const whole = text[0].toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

let asking = null;

/** Asks for a token; all that wait share one dialog. Rejects where the person gives none. */
function askForToken(isWrong) {
  asking ??= new Promise((resolve, reject) => {
    const dialog = byId('token-dialog');
    const input = byId('token');
    const error = byId('token-error');
    error.hidden = !isWrong;
    error.textContent = isWrong ? 'The service does not take this token.' : '';
    input.value = '';
    const cancel = () => dialog.close('');
    byId('token-cancel').addEventListener('click', cancel, { once: true });
    dialog.addEventListener(
      'close',
      () => {
        asking = null;
        byId('token-cancel').removeEventListener('click', cancel);
        const token = input.value.trim();
        if (dialog.returnValue !== 'ok' || !token) {
          reject(new Problem({ title: 'A token is needed', hint: 'Ask whoever runs this service for one.', status: 401 }));
          return;
        }
        sessionStorage.setItem(TOKEN, token);
        resolve();
      },
      { once: true },
    );
    dialog.returnValue = '';
    dialog.showModal();
  });
  return asking;
}

/** fetch() with the token, the token's dialog, and waiting where the service says so. */
async function call(path, options = {}, note) {
  let refused = false;
  for (let busy = 0; ; ) {
    let response;
    const used = sessionStorage.getItem(TOKEN);
    try {
      response = await fetch(path, { ...options, headers: headers(options.headers) });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem({
        title: 'The service cannot be reached',
        detail: 'The connection was refused or cut off.',
        hint: 'Is `mmra serve` still running?',
      });
    }
    if (response.ok) return response;
    if (response.status === 401) {
      // Another call may have got the token in the meantime.
      if (sessionStorage.getItem(TOKEN) === used) await askForToken(refused || Boolean(used));
      refused = true;
      continue;
    }
    if (response.status === 429 && busy < 5) {
      busy += 1;
      const seconds = Math.min(10, Number(response.headers.get('Retry-After')) || 1);
      note?.(`The service is busy; trying again in ${seconds} s.`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    throw await problemOf(response);
  }
}

export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== '' && value !== undefined && value !== null) query.set(name, value);
  }
  const text = query.toString();
  return (await call(text ? `${path}?${text}` : path, { signal })).json();
}

export async function post(path, body, { signal, note } = {}) {
  const isForm = body instanceof FormData;
  const response = await call(
    path,
    {
      method: 'POST',
      body: isForm ? body : JSON.stringify(body),
      headers: isForm ? {} : { 'Content-Type': 'application/json' },
      signal,
    },
    note,
  );
  return response.json();
}

/**
 * POST that is answered by server-sent events as work goes on: on(name, data) for each. Resolves to
 * the data of "result"; an "error" event rejects. A plain JSON answer counts as the result.
 */
export async function stream(path, body, { on, signal, note }) {
  const isForm = body instanceof FormData;
  const response = await call(
    path,
    {
      method: 'POST',
      body: isForm ? body : JSON.stringify(body),
      headers: { Accept: 'text/event-stream', ...(isForm ? {} : { 'Content-Type': 'application/json' }) },
      signal,
    },
    note,
  );
  if (!(response.headers.get('Content-Type') ?? '').startsWith('text/event-stream')) {
    return response.json();
  }
  const cut = () => new Problem({ title: 'The answer was cut off', hint: 'Ask again.' });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw cut();
    }
    if (piece.done) throw cut();
    pending += piece.value.replace(/\r\n?/g, '\n');
    for (let end = pending.indexOf('\n\n'); end >= 0; end = pending.indexOf('\n\n')) {
      const event = parseEvent(pending.slice(0, end));
      pending = pending.slice(end + 2);
      if (!event) continue;
      if (event.name === 'error') throw new Problem(event.data);
      if (event.name === 'result') return event.data;
      on(event.name, event.data);
    }
  }
}

function parseEvent(text) {
  let name = 'message';
  const data = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
  }
  return data.length > 0 ? { name, data: JSON.parse(data.join('\n')) } : null;
}

/** An address of a picture that <img> can show: one that needs the token is fetched. */
export async function pictureAddress(url) {
  if (url.startsWith('data:') || !sessionStorage.getItem(TOKEN)) return url;
  const response = await call(url);
  return URL.createObjectURL(await response.blob());
}
