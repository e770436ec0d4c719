// The third view: the model and how far it can be trusted.

import { lines } from './charts.js';
import { byId, count, day, h, replace, s } from './dom.js';
import { inBox } from './parts.js';

const fact = (name, value) =>
  value !== null && value !== undefined && value !== '' && h('div', {}, h('dt', {}, name), h('dd', {}, String(value)));
const number = (value, digits = 3) => (typeof value === 'number' ? value.toFixed(digits) : '–');

const kMetricRows = {
  valid: 'All validation videos',
  valid_not_used_for_stopping: 'Those that chose nothing',
  test: 'Test videos',
};

function overview(model) {
  const rows = model.trained_on ?? {};
  return h('section', { class: 'panel', 'aria-labelledby': 'm-over' },
    h('h2', { id: 'm-over' }, model.model, model.variant ? ` (${model.variant})` : ''),
    h('dl', { class: 'facts', style: { marginTop: '16px' } },
      fact('trained', model.trained_at && day(model.trained_at)),
      fact('learned from', rows.train !== undefined && `${count(rows.train)} videos`),
      fact('predicts', model.bank?.unit && `${model.bank.unit}${model.bank.horizon ? ` after ${model.bank.horizon}` : ''}`),
      fact('encoders', model.encoders),
      fact('instances it asks for', model.k),
      fact('protocol', model.protocol)));
}

function bankPanel(bank) {
  if (!bank) return null;
  return h('section', { class: 'panel', 'aria-labelledby': 'm-bank' },
    h('h2', { id: 'm-bank' }, 'Its memory bank'),
    h('dl', { class: 'facts', style: { marginTop: '16px' } },
      fact('videos', count(bank.records)),
      fact('with a number', bank.labelled !== undefined && count(bank.labelled)),
      fact('with a clip', bank.with_video !== undefined && count(bank.with_video)),
      fact('with a time', bank.with_time !== undefined && count(bank.with_time)),
      fact('generation', bank.generation)));
}

function metricsPanel(metrics) {
  if (!metrics) return null;
  const rows = Object.entries(metrics).filter(([, value]) => value && typeof value === 'object' && 'nmse' in value);
  return h('section', { class: 'panel', 'aria-labelledby': 'm-metrics' },
    h('h2', { id: 'm-metrics' }, 'How well it does'),
    h('p', { class: 'sub' }, 'On videos that it did not learn from. nMSE is 1 for always guessing the mean, 0 for knowing; MAE is in doublings; SRC is how well it ranks, 1 at best.'),
    h('div', { class: 'table-box', tabindex: 0, role: 'region', 'aria-label': 'Figures' },
      h('table', {},
        h('thead', {}, h('tr', {}, ['Videos', 'n', 'nMSE', 'MAE', 'SRC'].map((name) => h('th', { scope: 'col' }, name)))),
        h('tbody', {}, rows.map(([name, value]) =>
          h('tr', {}, h('th', { scope: 'row' }, kMetricRows[name] ?? name),
            h('td', {}, count(value.n)), h('td', {}, number(value.nmse)), h('td', {}, number(value.mae)), h('td', {}, number(value.src))))))),
    metrics.fit && h('p', { class: 'sub', style: { marginTop: '16px' } }, `What the fit found: ${metrics.fit}.`));
}

function calibrationPanel(calibration) {
  if (!calibration) return null;
  const width = calibration.half_width_log2;
  const signals = Object.entries(calibration.scale ?? {}).filter(([, value]) => value.weight !== 0);
  return h('section', { class: 'panel', 'aria-labelledby': 'm-cal' },
    h('h2', { id: 'm-cal' }, 'How far its intervals can be trusted'),
    h('p', { class: 'sub' },
      width === null
        ? `The ${count(calibration.num_rows)} calibration videos are too few for an interval of ${Math.round(100 * calibration.level)} %: it is unbounded.`
        : `Of videos like the ${count(calibration.num_rows)} that calibrated it, at least ${Math.round(100 * calibration.level)} % fall into their interval. An average one reaches a factor of ${(2 ** width).toFixed(1)} to either side.`),
    signals.length > 0 && h('p', { class: 'sub' }, `It is wider where errors are expected to be larger, by: ${signals.map(([name]) => name.replaceAll('_', ' ')).join(', ')}.`),
    Array.isArray(calibration.coverage) && coverageTable(calibration.coverage));
}

function coverageTable(coverage) {
  return h('div', { class: 'table-box', tabindex: 0, role: 'region', 'aria-label': 'Coverage' },
    h('table', {},
      h('thead', {}, h('tr', {}, ['Tenth by predicted popularity', 'covered'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, coverage.map((share, i) =>
        h('tr', {}, h('th', { scope: 'row' }, `${i + 1}`), h('td', {}, `${Math.round(100 * (share.coverage ?? share))} %`))))));
}

function historyPanel(history) {
  if (!history || history.length < 2) return null;
  const names = [['train_loss', 'training loss'], ['stop_nmse', 'nMSE on validation']];
  const series = names
    .filter(([key]) => history.some((row) => typeof row[key] === 'number'))
    .map(([key, name]) => ({ name, values: history.map((row) => row[key] ?? NaN) }));
  if (series.length === 0) return null;
  const best = history.findIndex((row) => row.best === 1);
  return h('section', { class: 'panel', 'aria-labelledby': 'm-history' },
    h('h2', { id: 'm-history' }, 'How it learned'),
    best >= 0 && h('p', { class: 'sub' }, `The weights of epoch ${best + 1} were kept.`),
    h('div', { class: 'legend chart' }, series.map((one, i) =>
      h('span', {}, s('svg', { viewBox: '0 0 28 8', 'aria-hidden': 'true' }, s('line', { class: `series-${i}`, x1: 0, x2: 28, y1: 4, y2: 4 })),
        `${one.name}, ${number(one.values[0], 2)} to ${number(one.values.at(-1), 2)}`))),
    lines(series, 'epochs'));
}

export function openModel(load) {
  const box = byId('model-body');
  if (box.childElementCount > 0 && !box.querySelector('.problem')) return;
  const show = () =>
    inBox(box, async () => {
      replace(box, h('div', { class: 'ghost', 'aria-hidden': 'true' }));
      const model = await load();
      replace(box, overview(model), metricsPanel(model.metrics), calibrationPanel(model.calibration), historyPanel(model.history), bankPanel(model.bank));
    }, show);
  void show();
}
