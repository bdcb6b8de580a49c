// The parts that know neither editor nor server: what is shown of a state and of a frame, where the server is looked for.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { after, test } from 'node:test';
import { build } from 'esbuild';

const source = (name) => fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lacuna-'));
after(() => rmSync(folder, { recursive: true }));
async function load(name) {
  const outfile = join(folder, `${name}.mjs`);
  await build({ entryPoints: [source(name)], outfile, bundle: true, format: 'esm', platform: 'node' });
  return import(pathToFileURL(outfile));
}
const { allows, shown } = await load('status');
const { CHARACTERS_MAX, runs } = await load('frames');
const { find } = await load('server');

test('every state has its text', () => {
  const text = (status, off) => shown({ message: 'why', ...status }, off).text;
  assert.equal(text({ state: 'starting' }), '$(loading~spin) Lacuna');
  assert.equal(text({ state: 'ready' }), '$(sparkle) Lacuna');
  assert.equal(text({ state: 'busy' }), '$(loading~spin) Lacuna');
  assert.equal(text({ state: 'busy', step: { step: 3, stepsMax: 16 } }), '$(loading~spin) Lacuna 3/16');
  assert.equal(text({ state: 'ready', step: { step: 3, stepsMax: 16 } }), '$(sparkle) Lacuna');
  assert.equal(text({ state: 'disabled' }), '$(circle-slash) Lacuna');
  assert.equal(text({ state: 'error' }), '$(error) Lacuna');
  assert.equal(text({ state: 'ready' }, 'log'), '$(circle-slash) Lacuna');
});

test('the hover begins with the reason, and only an error is bad', () => {
  const error = shown({ state: 'error', message: 'no such directory' }, 'log');
  assert.deepEqual([error.summary, error.bad], ['no such directory', true]);
  assert.equal(shown({ state: 'ready', message: 'ready' }, 'log').summary, 'off for log');
  const last = { promptTokens: 200, cachedTokens: 150, totalMs: 61.6 };
  const ready = shown({ state: 'ready', message: 'ready', last, counters: { requests: 4, inferencesStarted: 3, typedThrough: 1 } });
  assert.equal(ready.bad, false);
  assert.deepEqual(ready.details, [
    'Last: 62 ms, 200 tokens of prompt, 150 of them cached',
    'Since the start: 4 requests, 3 inferences, 1 typed through',
  ]);
  const unsure = shown({ state: 'ready', message: 'ready', counters: { requests: 4, inferencesStarted: 3, typedThrough: 1, unsure: 2 } });
  assert.deepEqual(unsure.details, ['Since the start: 4 requests, 3 inferences, 1 typed through, 2 kept back as too unsure']);
});

test('a language is as it is listed, else as `*`', () => {
  assert.equal(allows({ '*': true, log: false }, 'log'), false);
  assert.equal(allows({ '*': true, log: false }, 'rust'), true);
  assert.equal(allows({ '*': false, rust: true }, 'rust'), true);
  assert.equal(allows({ '*': false, rust: true }, 'go'), false);
  assert.equal(allows({}, 'go'), true);
  // As the server reads it: what a language is a dialect of speaks for it.
  assert.equal(allows({ typescript: false }, 'typescriptreact'), false);
  assert.equal(allows({ typescript: false, typescriptreact: true }, 'typescriptreact'), true);
  assert.equal(allows({ '*': false, json: true }, 'jsonc'), true);
  assert.equal(allows({ typescriptreact: false }, 'typescript'), true);
});

test('neighbouring cells of a frame are one run, in one line', () => {
  const cells = [
    { text: 'let', state: 'accepted' },
    { text: ' a', state: 'clamped' },
    { text: '\n    ', state: 'noise' },
    { text: '\tb', state: 'noise' },
    { text: '', state: 'accepted' },
  ];
  assert.deepEqual(runs(cells), [
    { text: 'let a', settled: true },
    { text: '⏎ →b', settled: false },
  ]);
  assert.deepEqual(runs([]), []);
  const long = runs(Array.from({ length: 100 }, (_, at) => ({ text: '𝒂𝒃𝒄', state: at % 2 ? 'noise' : 'accepted' })));
  assert.equal([...long.map(({ text }) => text).join('')].length, CHARACTERS_MAX, 'counted in characters, none is cut in two');
});

test('the server is the one that was set, else on the PATH, else cargo’s, else the bundled one', () => {
  const places = { setting: '', home: '/h', path: ['/p', '/q'], extension: '/e', windows: false };
  const among = (...programs) => (path) => programs.includes(path);
  assert.equal(find(places, among('/q/lacuna', '/h/.cargo/bin/lacuna', '/e/bin/lacuna')).program, '/q/lacuna');
  assert.equal(find(places, among('/h/.cargo/bin/lacuna', '/e/bin/lacuna')).program, '/h/.cargo/bin/lacuna');
  assert.equal(find(places, among('/e/bin/lacuna')).program, '/e/bin/lacuna');
  assert.equal(find({ ...places, windows: true }, among('/p/lacuna.exe')).program, '/p/lacuna.exe');
  assert.equal(find({ ...places, setting: '~/x' }, among('/h/x', '/p/lacuna')).program, '/h/x');
  assert.match(find({ ...places, setting: '/x' }, among('/p/lacuna')).missing, /lacuna\.server\.path is “\/x”/);
  assert.match(find(places, among()).missing, /cargo install --path server\/cli/);
});

test('every command that is shown is registered, and the other way round; the TypeScript stays thin', () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const code = readFileSync(source('extension'), 'utf8');
  const registered = [...code.matchAll(/^ {6}'(lacuna\.\w+)':/gm)].map(([, name]) => name);
  assert.deepEqual(manifest.contributes.commands.map(({ command }) => command).sort(), registered.sort());
  const files = readdirSync(new URL('../src/', import.meta.url));
  const lines = files.map((name) => readFileSync(new URL(`../src/${name}`, import.meta.url), 'utf8').split('\n').length - 1);
  assert.ok(lines.reduce((sum, count) => sum + count, 0) < 400);
});
