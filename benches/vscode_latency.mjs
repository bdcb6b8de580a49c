// What a person who types in a real VS Code waits for: from a key to its echo, and to ghost text.
//
//     cargo build --release && .ci/vscode DIR target/release/lacuna          (once: installs code-server into DIR and tests)
//     LACUNA_VSCODE=DIR LACUNA=target/release/lacuna LACUNA_VSIX=editors/vscode/lacuna.vsix \
//       DIR/node_modules/node/bin/node benches/vscode_latency.mjs [CASES]
//
// The packaged extension in code-server and a headless Chromium, with the shipped model. Held-out lines of code are typed with
// key events: eight keys of each while the ghost text after every key is waited for, as someone who reads; the rest at a
// typist's pace, so that keys come while the model works. Everything is timed inside of the page and by its clock: from the
// time stamp of the key event to the moment behind the frame that shows the character, or the ghost text. The same keys with
// Lacuna switched off tell what the editor takes by itself. Prints milliseconds beside their targets, and writes them into
// benches/results/editors.json.

import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { Workbench } from '../tests/vscode/workbench.mjs';

const CASES = Number(process.argv[2] ?? 14);
const KEYS_READ = 8;
const KEYS_TYPED = 24;
/** Between keys at a typist's pace; VS Code asks 30 to 50 ms after a key. */
const PACE_MS = [110, 70, 45, 140, 60, 35, 90, 180, 50, 20];
/** A key that has brought no ghost text for so long brings none. */
const NOTHING_AFTER_MS = 1500;
/** From opening a file to the first key: coming to a file is slow in any editor, and nobody types then. */
const OPENED_MS = 1000;
const GHOST_P50_MAX_MS = 400;
const ECHO_MAX_MS = 50;
const WIDTH_MAX = 100;
const RESULTS = new URL('results/editors.json', import.meta.url);

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** In the page: times keys, their echoes and the ghost text in the line of the caret. */
function meter(nothingAfterMs) {
  const plain = (text) => text.replaceAll('\u00a0', ' ');
  const it = (globalThis.meter = { keys: [], line: '' });
  /** The line of the caret as it is drawn: its own text, and the ghost text. */
  const drawn = () => {
    const top = document.querySelector('.monaco-editor .cursors-layer .cursor')?.style.top;
    const line = [...document.querySelectorAll('.monaco-editor .view-line')].find(({ style }) => style.top === top);
    let [text, ghost] = ['', ''];
    for (const span of line?.querySelectorAll(':scope > span > span') ?? []) {
      if (/ghost-text/.test(span.className)) ghost += plain(span.textContent);
      else text += plain(span.textContent);
    }
    return { text, ghost };
  };
  const look = (now) => {
    const { text, ghost } = drawn();
    for (const key of it.keys) if (key.echo === undefined && text.startsWith(key.line)) key.echo = now;
    const key = it.keys.at(-1);
    if (key?.echo === undefined || key.shown !== undefined) return;
    key.gone ||= ghost === '';
    if (ghost !== '' && ghost === key.before.slice(1) && key.before.startsWith(key.text) && !key.gone) Object.assign(key, { shown: now, kind: 'kept' });
    else if (ghost !== '' && (key.gone || ghost !== key.before)) Object.assign(key, { shown: now, kind: 'new' });
    if (key.shown !== undefined) it.settled?.(key);
  };
  // The editor draws in callbacks of animation frames; a message that is posted there comes when the frame has been painted.
  let inFrame = false;
  const behind = new MessageChannel();
  behind.port1.onmessage = () => {
    inFrame = false;
    look(performance.now());
  };
  const requestFrame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => requestFrame((time) => {
    if (!inFrame) behind.port2.postMessage(0);
    inFrame = true;
    draw(time);
  });
  // What changes outside of a frame is painted with the next one.
  const soon = () => inFrame || window.requestAnimationFrame(() => {});
  new MutationObserver(soon).observe(document.querySelector('.part.editor'), { subtree: true, childList: true, characterData: true });
  window.addEventListener('keydown', ({ key, timeStamp }) => {
    if (key.length !== 1) return;
    it.line += key;
    it.keys.push({ text: key, sent: timeStamp, line: it.line, before: drawn().ghost });
  }, { capture: true });
  /** Begins a case, once the caret's line is the one of its hole. */
  it.begin = (line) => {
    Object.assign(it, { keys: [], line });
    return drawn().text.startsWith(line);
  };
  /** The last key, once its ghost text is there or surely none comes. */
  it.settle = () => new Promise((done) => {
    const key = it.keys.at(-1);
    if (key.shown !== undefined) return done();
    const never = setTimeout(done, nothingAfterMs - (performance.now() - key.sent));
    it.settled = () => {
      clearTimeout(never);
      done();
    };
  });
  it.echoed = () => it.keys.every(({ echo }) => echo !== undefined);
}

function cases() {
  const lines = readFileSync(new URL('../fixtures/infill/heldout.jsonl', import.meta.url), 'utf8').split('\n').filter(Boolean);
  const fits = ({ kind, language, prompt, canonical_solution: text }) =>
    kind === 'line' && language === 'rust' && /^[\n\x20-\x7e]*$/.test(prompt + text) && prompt.split('\n').at(-1).length + text.length < WIDTH_MAX;
  return lines.map((line) => JSON.parse(line)).filter(fits).slice(0, CASES);
}

/** In names: no name may be found in another one by the editor's list of files, which sorts itself while it is clicked. */
const letter = (index) => String.fromCharCode('a'.charCodeAt(0) + index);

/** Types one case; gives its keys. */
async function run(code, name, { prompt, canonical_solution: text }, reads) {
  const before = prompt.split('\n');
  await code.goto(name, before.length, before.at(-1).length + 1);
  await code.page.waitForSelector('.monaco-editor .view-line');
  if (!(await code.page.evaluate(() => globalThis.meter !== undefined))) await code.page.evaluate(meter, NOTHING_AFTER_MS);
  await code.page.waitForFunction((line) => globalThis.meter.begin(line), before.at(-1));
  await pause(OPENED_MS);
  const keys = [...text.trim()];
  for (const key of reads ? keys.slice(0, KEYS_READ) : []) {
    await code.page.keyboard.press(key);
    await code.page.evaluate(() => globalThis.meter.settle());
  }
  const read = reads ? KEYS_READ : 0;
  for (const [index, key] of keys.slice(read, read + KEYS_TYPED).entries()) {
    await code.page.keyboard.press(key);
    await pause(PACE_MS[index % PACE_MS.length]);
  }
  await code.page.waitForFunction(() => globalThis.meter.echoed());
  const timed = await code.page.evaluate(() => globalThis.meter.keys);
  return timed.map((key, index) => ({ ...key, mode: index < read ? 'read' : 'typed' }));
}

function figure(what, times, target) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share) => Number((sorted[Math.max(1, Math.ceil(sorted.length * share)) - 1] ?? -1).toFixed(1));
  const value = { what, keys: sorted.length, p50_ms: at(0.5), p95_ms: at(0.95), longest_ms: at(1) };
  if (target) Object.assign(value, { target, met: sorted.length > 0 && Object.entries(target).every(([name, limit]) => value[name] <= limit) });
  return value;
}

function report(version, on, off) {
  const ghosts = (kind) => on.filter((key) => key.mode === 'read' && key.kind === kind).map(({ sent, shown }) => shown - sent);
  const echoes = (keys, mode) => keys.filter((key) => key.mode === mode).map(({ sent, echo }) => echo - sent);
  const figures = [
    figure('key to new ghost text', ghosts('new'), { p50_ms: GHOST_P50_MAX_MS }),
    figure('key to kept ghost text', ghosts('kept')),
    figure('key to its echo, reading', echoes(on, 'read'), { longest_ms: ECHO_MAX_MS }),
    figure('key to its echo, typing on', echoes(on, 'typed'), { longest_ms: ECHO_MAX_MS }),
    figure('key to its echo, Lacuna off', echoes(off, 'typed')),
  ];
  console.log(`${''.padEnd(36)} ${'keys'.padStart(5)} ${'p50 ms'.padStart(8)} ${'p95 ms'.padStart(8)} ${'longest'.padStart(8)}  target`);
  for (const { what, keys, p50_ms, p95_ms, longest_ms, target, met } of figures) {
    const numbers = [p50_ms, p95_ms, longest_ms].map((ms) => ms.toFixed(1).padStart(8)).join(' ');
    const said = target ? Object.entries(target).map(([name, limit]) => `${name} at most ${limit}: ${met ? 'met' : 'MISSED'}`).join() : '';
    console.log(`${what.padEnd(36)} ${String(keys).padStart(5)} ${numbers}  ${said}`);
  }
  console.log(`keys without ghost text: ${on.filter((key) => key.mode === 'read' && key.kind === undefined).length}`);
  const all = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : {};
  all.vscode = { cases: cases().length, cores: availableParallelism(), figures, load: Number(loadavg()[0].toFixed(2)), processor: cpus()[0].model, version };
  writeFileSync(RESULTS, `${JSON.stringify(Object.fromEntries(Object.entries(all).toSorted()), null, 2)}\n`);
}

const files = Object.fromEntries(cases().flatMap((it, index) => ['on', 'off'].map((state) => [`${state}-${letter(index)}.rs`, `${it.prompt}${it.suffix}`])));
files['warm.rs'] = files['on-a.rs'];
const code = await Workbench.open(files, { recorded: false });
try {
  await code.goto('on-a.rs');
  await code.says(/ready/);
  // The editor is slow with its first keys, whatever they do.
  await run(code, 'warm.rs', cases()[0], true);
  const on = [];
  for (const [index, it] of cases().entries()) on.push(...(await run(code, `on-${letter(index)}.rs`, it, true)));
  code.configure({ 'lacuna.enabled': false });
  await code.says(/disabled/);
  const off = [];
  for (const [index, it] of cases().entries()) off.push(...(await run(code, `off-${letter(index)}.rs`, it, false)));
  report(code.version, on, off);
} finally {
  await code.close();
}
