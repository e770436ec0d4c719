// The page of `mmra serve`: three views behind the address's fragment.

import { get } from './api.js';
import { openBank, setUnit } from './bank.js';
import { byId, count } from './dom.js';
import { openModel } from './model.js';
import { offerContext, startPredict } from './predict.js';

const VIEWS = { predict: 'Predict', bank: 'Bank', model: 'Model' };

let model = null;

/** What the service says about its model and bank; asked once, and again after a failure. */
function loadModel() {
  model ??= get('/v1/model').catch((error) => {
    model = null;
    throw error;
  });
  return model;
}

async function introduce() {
  const { bank } = await loadModel();
  if (!bank) return;
  setUnit(bank.unit ?? '');
  offerContext(bank.context_columns);
  byId('facts').textContent = `${count(bank.records)} videos${bank.unit ? ` · ${bank.unit}` : ''}`;
  byId('bank-lead').textContent = `The ${count(bank.records)} past videos that every prediction rests on.`;
}

function currentView() {
  const name = location.hash.replace(/^#\//, '');
  return name in VIEWS ? name : 'predict';
}

async function showView(byPerson) {
  const name = currentView();
  for (const view of Object.keys(VIEWS)) byId(view).hidden = view !== name;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${VIEWS[name]} · mmra`;
  if (byPerson) {
    window.scrollTo(0, 0);
    byId('view').focus({ preventScroll: true });
  }
  if (name === 'model') openModel(loadModel);
  if (name === 'bank') {
    // With the unit where it is to be had; the list says itself what is wrong where not.
    await introduction.catch(() => {});
    openBank();
  }
}

startPredict();
const introduction = introduce();
introduction.catch(() => {}); // the view that needs it shows why
window.addEventListener('hashchange', () => void showView(true));
byId('detail').addEventListener('click', (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});
void showView(false);
