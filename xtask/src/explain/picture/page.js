// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';

const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
for (const part of [...data.spans, ...data.stretches]) {
  part.start = BigInt(part.start);
  part.end = BigInt(part.end);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// The map: everything lies at y on a picture of data.height; the view shows a part of it, enlarged.

const TEXT = 14;
const view = { top: 0, zoom: 1 };
let marked = null;

const rects = [...document.querySelectorAll('.lanes rect')].map((rect) => {
  const y = Number(rect.getAttribute('y'));
  return { rect, top: y, bottom: y + Number(rect.getAttribute('height')) };
});
const names = [...document.querySelectorAll('.lanes text')].map((text) => ({ text, ...rects.find((r) => r.rect.dataset.span === text.dataset.span) }));
const onScreen = (y) => (y - view.top) * view.zoom;
const visible = (top, bottom) => onScreen(bottom) > 0 && onScreen(top) < data.height;
const clipped = (y) => Math.min(Math.max(onScreen(y), -20), data.height + 20);

function y(address) {
  const at = data.stretches.find((stretch) => address < stretch.end);
  if (!at) return data.height;
  if (address < at.start) return at.top;
  const share = Number(((address - at.start) << 20n) / (at.end - at.start)) / 2 ** 20;
  return at.top + share * (at.bottom - at.top);
}

function draw() {
  for (const { rect, top, bottom } of rects) {
    rect.setAttribute('y', clipped(top));
    rect.setAttribute('height', Math.max(clipped(bottom) - clipped(top), 0.75));
  }
  for (const { text, top, bottom } of names) text.setAttribute('y', Math.min(clipped(top) < 0 ? 8 : onScreen(top) + 8, onScreen(bottom) - 50));
  drawAxis();
  drawLabels();
  const at = marked === null ? -9 : onScreen(y(marked));
  $('mark').setAttribute('y1', at);
  $('mark').setAttribute('y2', at);
  $('whole').disabled = view.zoom === 1;
}

/** Addresses: at the largest stretches first, as many as fit. */
function drawAxis() {
  const places = data.stretches.filter((s) => visible(s.top, s.bottom)).sort((a, b) => (b.bottom - b.top) - (a.bottom - a.top))
    .map((s) => [onScreen(s.top), s.start]);
  const last = data.stretches.at(-1);
  if (last) places.unshift([onScreen(last.bottom), last.end]);
  const placed = [];
  for (const [at, address] of places) {
    const fits = at >= -1 && at <= data.height + 1 && placed.every((other) => Math.abs(other.at - at) >= TEXT);
    if (fits) placed.push({ at, address });
  }
  $('axis').replaceChildren(...placed.map(({ at, address }) => {
    const label = element('span', '0x' + address.toString(16));
    label.style.top = at + 'px';
    return label;
  }));
}

/** Who owns what: one label for each piece that is tall enough, and one for those between. */
function drawLabels() {
  const entries = data.stretches.filter((s) => s.hole).map((s) => ({ ...s, text: s.size + ' hole', paint: null }));
  let small = [];
  const together = () => {
    if (small.length === 0) return;
    const largest = small.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    const text = small.length === 1 ? `${largest.size} ${largest.label}` : `${small.length} small pieces, most ${largest.label}`;
    entries.push({ top: small[0].top, bottom: small.at(-1).bottom, text, paint: largest.paint });
    small = [];
  };
  let end = 0;
  for (const run of data.runs.filter((r) => visible(r.top, r.bottom))) {
    if (run.top - end > 0.01) together();
    end = run.bottom;
    if ((run.bottom - run.top) * view.zoom >= TEXT) {
      together();
      entries.push({ ...run, text: `${run.size} ${run.label}` });
    } else {
      small.push(run);
    }
  }
  together();
  const shown = entries.filter((e) => visible(e.top, e.bottom) && (e.bottom - e.top) * view.zoom >= TEXT - 2);
  $('labels').replaceChildren(...shown.flatMap((entry) => {
    const [top, bottom] = [Math.max(onScreen(entry.top), 0), Math.min(onScreen(entry.bottom), data.height)];
    const label = element('span', entry.text, entry.paint ? '' : 'none');
    label.title = entry.text;
    label.dataset.owner = entry.paint ?? '';
    label.style.top = (top + bottom) / 2 + 'px';
    return label;
  }));
  highlight();
}

/** Enlarges by `factor` and keeps what is at `at` pixels where it is. */
function zoom(factor, at = data.height / 2) {
  const fixed = view.top + at / view.zoom;
  view.zoom = Math.min(Math.max(view.zoom * factor, 1), 4096);
  pan(fixed - at / view.zoom - view.top);
}

/** Moves the view by so much of the picture. */
function pan(distance) {
  view.top = Math.min(Math.max(view.top + distance, 0), data.height - data.height / view.zoom);
  draw();
}

function show(top, bottom) {
  view.zoom = Math.min(Math.max(data.height / (3 * Math.max(bottom - top, 0.01)), 1), 4096);
  view.top = 0;
  pan((top + bottom) / 2 - data.height / view.zoom / 2);
}

const part = () => data.height / view.zoom / 8;
const keys = {
  '+': () => zoom(1.5), '=': () => zoom(1.5), '-': () => zoom(1 / 1.5), 0: () => zoom(0), Home: () => pan(-data.height), End: () => pan(data.height),
  ArrowUp: () => pan(-part()), ArrowDown: () => pan(part()), PageUp: () => pan(-7 * part()), PageDown: () => pan(7 * part()),
};
const map = $('map');
const lanes = $('lanes');

map.addEventListener('keydown', (event) => {
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
map.addEventListener('wheel', (event) => {
  if (!event.ctrlKey && !map.matches(':focus-within')) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 300), event.clientY - lanes.getBoundingClientRect().top);
}, { passive: false });

let dragged = 0;
lanes.addEventListener('pointerdown', () => { dragged = 0; });
lanes.addEventListener('pointermove', (event) => {
  if (event.buttons !== 1) return;
  dragged += Math.abs(event.movementY);
  pan(-event.movementY / view.zoom);
});
lanes.addEventListener('click', (event) => {
  const at = event.target.dataset.span;
  if (at !== undefined && dragged < 4) location.hash = '0x' + data.spans[at].start.toString(16);
});
$('in').addEventListener('click', () => zoom(2));
$('out').addEventListener('click', () => zoom(0.5));
$('whole').addEventListener('click', () => zoom(0));

// One owner at a time.

let chosen = null;

function highlight() {
  map.classList.toggle('only', chosen !== null);
  for (const part of map.querySelectorAll('[data-owner]')) part.classList.toggle('chosen', part.dataset.owner === chosen);
  for (const button of document.querySelectorAll('.legend button')) button.setAttribute('aria-pressed', button.dataset.paint === chosen);
}
for (const button of document.querySelectorAll('.legend button')) {
  button.addEventListener('click', () => {
    chosen = chosen === button.dataset.paint ? null : button.dataset.paint;
    highlight();
  });
}

// Who owns an address?

/** Reads 0x37000000, 923M, 1.5G, 922746880, bffe0000 or a line that holds an address; null if it is none of them. */
function parse(text) {
  const plain = text.trim().replaceAll('_', '');
  const units = plain.match(/^(\d+)(?:\.(\d+))?\s*([kmgtpe])(?:i?b)?$/i);
  let address = null;
  if (units) {
    const [, whole, fraction = '', unit] = units;
    const bytes = 1n << BigInt(10 * ('kmgtpe'.indexOf(unit.toLowerCase()) + 1));
    address = BigInt(whole + fraction) * bytes / 10n ** BigInt(fraction.length);
  } else if (/^\d+$/.test(plain)) {
    address = BigInt(plain);
  } else if (/^[0-9a-f]+$/i.test(plain)) {
    address = BigInt('0x' + plain);
  } else {
    const inside = plain.match(/0x[0-9a-f]+/i);
    address = inside && BigInt(inside[0]);
  }
  return address !== null && address < 1n << 64n ? address : null;
}

function answer(address) {
  const owners = data.spans.filter((span) => span.start <= address && address < span.end);
  const best = owners.filter((span) => span.rank !== null).sort((a, b) => a.rank - b.rank)[0];
  const zone = owners.find((span) => span.zone);
  const hex = '0x' + address.toString(16);
  const parts = [];
  const line = (...inside) => {
    const paragraph = element('p');
    paragraph.append(...inside);
    parts.push(paragraph);
  };

  line(element('code', hex), ` (${address.toLocaleString('en').replaceAll(',', '\u202f')}) ${best ? 'belongs to' : 'is in a hole'}`);
  if (best) {
    line(element('strong', best.label));
    line(element('code', best.range), `, ${best.size}: ${best.owner}${zone ? `, in zone ${zone.label}` : ''}${zone?.node == null ? '' : ` of node ${zone.node}`}.`);
    if (best.evidence) parts.push(evidence(best.evidence));
    const button = element('button', 'Show it on the map');
    button.type = 'button';
    button.addEventListener('click', () => show(y(best.start), y(best.end)));
    parts.push(button);
  } else {
    line('No memory is there; at most a device.');
  }
  const list = element('dl');
  for (const span of owners) {
    list.append(element('dt', span.lane), element('dd', `${span.label}, ${span.range}, ${span.size}`));
  }
  if (owners.length > 0) parts.push(list);
  $('answer').replaceChildren(...parts);

  marked = address;
  const at = onScreen(y(address));
  if (at < 0 || at > data.height) pan(y(address) - view.top - data.height / view.zoom / 2);
  else draw();
}

function evidence({ source, line, text }) {
  const quoted = element('code', text, 'evidence');
  quoted.title = line === null ? source : `${source}, line ${line}`;
  return quoted;
}

function fromAddressBar() {
  const text = location.hash.slice(1).replaceAll('%20', ' ');
  const address = text.startsWith('term-') ? null : parse(text);
  if (address === null || data.spans.length === 0) return;
  $('address').value = text;
  answer(address);
}

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const address = parse($('address').value);
  if (address === null) {
    $('answer').replaceChildren(element('p', 'That is no address. Write 0x37000000, 922746880, 880M or 1.5G.'));
    return;
  }
  history.pushState(null, '', '#' + $('address').value.trim());
  answer(address);
});
window.addEventListener('hashchange', fromAddressBar);
window.addEventListener('popstate', fromAddressBar);

// Light or dark.

$('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.style.colorScheme ? root.style.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.style.colorScheme = dark ? 'light' : 'dark';
});

draw();
fromAddressBar();
