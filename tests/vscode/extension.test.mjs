// The packaged extension in a real VS Code with the real server and the shipped model. The model's words are not the tests'
// business: what the server answered (it is recorded) must be what the editor shows and what ends up in the file.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { PATIENCE_MS, Workbench, applied } from './workbench.mjs';

const STACK = `pub struct Stack<T> {
    items: Vec<T>,
}

impl<T> Stack<T> {
    pub fn push(&mut self, item: T) {
        self.items.push(item);
    }

    pub fn len(&self) -> usize {
        todo!()
    }

    pub fn is_empty(&self) -> bool {

    }
}
`;
const MEAN = 'def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)\n\n\ndef largest(values):\n\n';
const TYPOS = STACK.replace('self.items.push(item);', 'slf.itms.psh(itm);');
const BROKEN = '{\n  "a": 1,\n  "b": 2\n  "c": 3\n}\n';
const INLINE = 'textDocument/inlineCompletion';
const RESOLVE = 'codeAction/resolve';

let code;
const files = { 'word.rs': STACK, 'line.rs': STACK, 'fill.rs': STACK, 'menu.rs': STACK, 'refine.rs': TYPOS, 'off.rs': STACK, 'still.rs': STACK, 'body.rs': STACK, 'broken.json': BROKEN, 'mean.py': MEAN };
before(async () => {
  code = await Workbench.open(files);
}, { timeout: 4 * PATIENCE_MS });
after(() => code?.close());
beforeEach(() => code.page.keyboard.press('Escape'));

/** The item that a visible ghost text is of: that of the last answer that offers any. */
const offered = (since) => code.requests(INLINE, since).filter(({ answer }) => answer?.result?.items?.length).at(-1);
const edits = (answer) => answer.result.edit.documentChanges[0].edits;

/** Waits for the answer to the last request of a method after `since`. */
const answered = (method, since) =>
  code.until(`${method} is answered`, () => {
    const last = code.requests(method, since).at(-1);
    return last?.answer && last;
  });

/** Opens the editor's own menu of actions, again where it drops it because the caret or a diagnostic has just changed, and gives a row. */
async function menuRow(hasText) {
  const row = code.page.locator('.action-widget .monaco-list-row', { hasText }).first();
  await code.until(`the menu has ${hasText}`, async () => {
    await code.keys('Escape', 'Control+Period');
    return row.waitFor({ timeout: PATIENCE_MS / 12 }).then(() => true, () => false);
  });
  return row;
}

/** Waits until the server was told settings that match. */
const configured = (pattern) => code.until(`the settings ${pattern}`, () => pattern.test(JSON.stringify(code.notifications('workspace/didChangeConfiguration').at(-1))));

/** Types until a ghost text of at least `words` words stands, and gives its item. */
async function proposal(text, words) {
  const since = code.traffic().length;
  await code.type(text);
  return code.until(`a ghost text after “${text}”`, async () => {
    const request = offered(since);
    const [item] = request?.answer.result.items ?? [];
    if (!item || code.requests(INLINE, since).at(-1).id !== request.id) return undefined;
    const shown = (await code.page.locator('[class*="ghost-text"]').allInnerTexts()).join('').replaceAll('\u00a0', ' ');
    const typed = request.params.position.character - item.range.start.character;
    const rest = item.insertText.slice(typed);
    return shown.includes(rest.split('\n')[0].trim()) && rest.split(/\W+/).filter(Boolean).length >= words && { ...item, rest };
  });
}

test('the server starts, and the status bar says so', async () => {
  await code.goto('word.rs', 15);
  assert.match(await code.says(/ready/), /built-in/);
  assert.equal((await code.bar().innerText()).trim(), 'Lacuna');
  const [{ params }] = code.requests('initialize');
  assert.ok(params.capabilities.textDocument.inlineCompletion);
});

test('ghost text while typing; a word of it, then the rest with Tab, is the right text', async () => {
  await code.goto('word.rs', 15);
  const item = await proposal('        return ', 2);
  await code.picture('ghost-rust');
  const before = STACK.replace('bool {\n\n', 'bool {\n        return \n');
  await code.keys('Control+ArrowRight');
  const word = /^\s*\w+/.exec(item.rest)[0];
  await code.until('a word is accepted', () => code.notifications('textDocument/didChange').at(-1).contentChanges[0].text === word);
  await code.ghost();
  await code.picture('ghost-rust-word');
  await code.keys('Tab');
  await code.noGhost();
  await code.holds('word.rs', applied(before, item));
});

test('a line of it with the extension’s own key', async () => {
  await code.goto('line.rs', 15);
  const item = await proposal('        return ', 1);
  const before = STACK.replace('bool {\n\n', 'bool {\n        return \n');
  await code.keys('Control+ArrowDown');
  const line = applied(before, item).split('\n')[14];
  await code.until('the line is there', async () => {
    await code.keys('Control+s');
    return code.text('line.rs').split('\n')[14] === line;
  });
});

test('Python; the next proposal with a key; Escape takes it away', async () => {
  await code.goto('mean.py', 9);
  await proposal('    for value in ', 1);
  await code.picture('ghost-python');
  const since = code.traffic().length;
  await code.keys('Alt+Backslash');
  const asked = await code.until('an invoked request', () => code.requests(INLINE, since).find(({ params, answer }) => params.context.triggerKind === 1 && answer));
  assert.ok(asked.answer.result.items.length > 1, `proposals to cycle through: ${JSON.stringify(asked.answer.result.items)}`);
  const first = await code.ghost();
  await code.keys('Alt+BracketRight');
  await code.until('another proposal', async () => (await code.ghost()) !== first);
  await code.keys('Escape');
  await code.noGhost();
  await code.holds('mean.py', MEAN.replace('largest(values):\n\n', 'largest(values):\n    for value in \n'));
});

test('a command fills a marker, the text condenses meanwhile, the status bar counts the steps, one undo takes it back', async () => {
  code.configure({ 'lacuna.candidates': 64, 'lacuna.invokedPreset': 'thorough' });
  await code.goto('fill.rs', 11, 12);
  await configured(/"thorough"/);
  const since = code.traffic().length;
  await code.page.evaluate(watch);
  await code.command('Lacuna: Fill Here');
  await code.page.waitForFunction(() => globalThis.seen.canvas.size > 0);
  await code.picture('canvas');
  const { answer } = await answered(RESOLVE, since);
  await code.says(/ready/);
  const { bar, canvas } = await code.page.evaluate(() => ({ bar: [...globalThis.seen.bar], canvas: [...globalThis.seen.canvas] }));
  assert.ok(bar.some((label) => /filling a hole: step \d+ of at most \d+/.test(label)), `the bar said ${bar}`);
  assert.ok(code.notifications('lacuna/frame', since).length > 0 && canvas.length > 0);
  await code.page.waitForFunction(() => !document.querySelector('.view-lines')?.innerText.includes('todo!()'));
  await code.holds('fill.rs', applied(STACK, edits(answer)[0]));
  await code.picture('filled');
  assert.equal(await code.page.evaluate(leftovers), 0, 'no decoration stays');
  await code.keys('Control+z');
  await code.holds('fill.rs', STACK);
});

test('nothing is drawn under reduced motion', async () => {
  code.configure({ 'lacuna.candidates': 64, 'lacuna.invokedPreset': 'thorough', 'workbench.reduceMotion': 'on' });
  await code.goto('still.rs', 11, 12);
  await code.page.locator('.monaco-reduce-motion').first().waitFor();
  const since = code.traffic().length;
  await code.page.evaluate(watch);
  await code.command('Lacuna: Fill Here');
  await answered(RESOLVE, since);
  await code.page.waitForFunction(() => !document.querySelector('.view-lines')?.innerText.includes('todo!()'));
  assert.ok(code.notifications('lacuna/frame', since).length > 0);
  assert.deepEqual(await code.page.evaluate(() => [...globalThis.seen.canvas]), []);
});

test('the light bulb’s menu and the context menu fill too', async () => {
  code.configure({});
  await code.goto('menu.rs', 11, 12);
  let since = code.traffic().length;
  const row = await menuRow('Lacuna: fill here');
  await code.picture('code-actions');
  await row.click();
  const { answer } = await answered(RESOLVE, since);
  await code.page.waitForFunction(() => !document.querySelector('.view-lines')?.innerText.includes('todo!()'));
  await code.holds('menu.rs', applied(STACK, edits(answer)[0]));
  await code.keys('Control+z');
  await code.holds('menu.rs', STACK);
  since = code.traffic().length;
  await code.page.getByText('todo!').first().click({ button: 'right' });
  await code.page.locator('.context-view').getByRole('menuitem', { name: 'Lacuna' }).click();
  const item = code.page.getByRole('menuitem', { name: 'Fill Here' });
  await item.waitFor();
  await code.picture('context-menu');
  await item.click();
  const again = await answered(RESOLVE, since);
  await code.page.waitForFunction(() => !document.querySelector('.view-lines')?.innerText.includes('todo!()'));
  await code.holds('menu.rs', applied(STACK, edits(again.answer)[0]));
});

/** Holds what became of an action to its answer: the edit is in the file, or the reason is told and the file is as it was. */
async function settled(name, text, since, kind) {
  const { params, answer } = await answered(RESOLVE, since);
  assert.equal(params.kind, kind);
  if (answer.error) {
    await code.page.locator('.notification-toast', { hasText: answer.error.message }).first().waitFor();
    await code.picture(`told-${kind}`);
    await code.holds(name, text);
    await code.command('Notifications: Clear All Notifications');
  } else {
    const changes = (answer.result.edit.documentChanges ?? []).flatMap(({ edits }) => edits);
    await code.holds(name, changes.reduceRight(applied, text));
  }
}

test('a selection is refined', async () => {
  code.configure({ 'lacuna.refineStrength': 1 });
  await code.goto('refine.rs', 7, 1);
  await code.keys('Home', 'Shift+End');
  await configured(/"refineStrength":1\b/);
  const since = code.traffic().length;
  await code.command('Lacuna: Refine Selection');
  await settled('refine.rs', TYPOS, since, 'refactor.rewrite.lacuna.refine');
});

test('a body is completed', async () => {
  code.configure({});
  await code.goto('body.rs', 7, 9);
  const since = code.traffic().length;
  await code.command('Lacuna: Complete This Body');
  await settled('body.rs', STACK, since, 'refactor.rewrite.lacuna.body');
});

test('an error that the editor reports can be repaired', async () => {
  await code.goto('broken.json', 4, 4);
  await code.page.locator('.squiggly-error').first().waitFor();
  const since = code.traffic().length;
  await menuRow(/Lacuna: repair: /);
  await code.picture('repair');
  await code.keys('Escape');
  await code.command('Lacuna: Repair');
  await settled('broken.json', BROKEN, since, 'quickfix.lacuna.repair');
});

test('where a language is off nothing is asked, and on it is asked again', async () => {
  await code.goto('off.rs', 15);
  await code.command('Lacuna: Turn On or Off for This Language');
  await code.says(/off for rust/);
  await code.picture('language-off');
  assert.deepEqual(code.userSettings()['lacuna.languages'], { rust: false });
  const since = code.traffic().length;
  await code.type('        let mut a');
  await code.command('Trigger Inline Suggestion');
  await code.type('b');
  await code.command('Lacuna: Fill Here');
  await code.page.locator('.notification-toast', { hasText: 'Lacuna: off for rust' }).first().waitFor();
  await code.command('Notifications: Clear All Notifications');
  await code.command('Lacuna: Turn On or Off for This Language');
  await code.until('the bar is as before', async () => !/off for rust/.test(await code.bar().locator('a').getAttribute('aria-label')));
  assert.equal(code.requests(INLINE, since).length, 0);
  assert.ok(code.notifications('textDocument/didChange', since).length > 10, 'the typing itself came through');
  const on = code.traffic().length;
  await code.type('c');
  await code.until('a request', () => code.requests(INLINE, on).length > 0);
  await code.says(/ready|no proposal here/);
});

test('a file that is left out: a command says so', async () => {
  code.configure({ 'lacuna.files.exclude': ['off.rs'] });
  await code.goto('off.rs', 11, 12);
  await configured(/off\.rs/);
  await code.command('Lacuna: Fill Here');
  await code.page.locator('.notification-toast', { hasText: 'the setting `files.exclude` has `off.rs`' }).first().waitFor();
  await code.command('Notifications: Clear All Notifications');
  code.configure({});
  await configured(/"exclude":\[[^\]]*\.env/);
});

test('all of it off: the state is disabled, the engine does not run', async () => {
  await code.goto('off.rs', 15, 20);
  await code.command('Lacuna: Turn On or Off');
  await code.says(/disabled/);
  await code.picture('disabled');
  const since = code.traffic().length;
  await code.keys('End');
  await code.type(' = s');
  await code.command('Lacuna: Turn On or Off');
  await code.says(/ready/);
  const states = code.notifications('lacuna/status', since).map(({ state }) => state);
  assert.ok(!states.includes('busy'), `${states}`);
  assert.equal(code.requests(INLINE, since).length, 0);
});

test('a model that is not there: an error, with the reason on hover and the log one click away', async () => {
  code.configure({ 'lacuna.engine.model': '/no/such/model' });
  await code.says(/no\/such\/model/);
  await code.bar().hover();
  await code.page.locator('.monaco-hover', { hasText: '/no/such/model' }).first().waitFor();
  await code.picture('error-hover');
  await code.bar().locator('a').click();
  await code.page.locator('.panel .output, .part.panel', { hasText: 'Lacuna' }).first().waitFor();
  await code.picture('error-log');
  await code.command('View: Hide Panel');
  code.configure({});
  await code.says(/ready/);
});

test('no server: the message says what to do, and setting the path mends it', async () => {
  const initialized = code.requests('initialize').length;
  code.configure({ 'lacuna.server.path': '/no/such/lacuna' });
  const toast = code.page.locator('.notification-toast', { hasText: 'lacuna.server.path is “/no/such/lacuna”, and there is no program' });
  await toast.waitFor();
  for (const name of ['Open Setting', 'How to Install', 'Try Again']) assert.ok(await toast.getByRole('button', { name }).isVisible(), name);
  await code.says(/no\/such\/lacuna/);
  await code.picture('missing-server');
  await toast.getByRole('button', { name: 'How to Install' }).click();
  await code.page.locator('.gettingStartedContainer', { hasText: 'Lacuna: fill the gap' }).waitFor();
  await code.picture('walkthrough');
  code.configure({});
  await code.says(/ready/);
  assert.equal(code.requests('initialize').length, initialized + 1);
});

test('a start while a slow server still ends leaves one server', async () => {
  const slow = `${code.server}-slow`;
  writeFileSync(slow, `#!/bin/sh\nLACUNA_SLOW_END_MS=1500 exec '${code.server}' "$@"\n`, { mode: 0o755 });
  const initialized = code.requests('initialize').length;
  code.configure({ 'lacuna.server.path': slow });
  await code.until('the slow server', () => code.requests('initialize').length > initialized);
  await code.says(/ready/);
  const since = code.traffic().length;
  code.configure({});
  await code.until('its end', () => code.requests('shutdown', since).length > 0);
  await code.command('Lacuna: Restart Engine');
  await code.until('both starts', () => code.requests('initialize', since).length > 1);
  await code.until('one server', () => code.servers() === 1);
  await code.says(/ready/);
});

test('without the setting: told how to install it, and found where cargo puts it', async (t) => {
  if (spawnSync('sh', ['-lc', 'command -v lacuna']).status === 0) return t.skip('there is a lacuna on the PATH');
  const initialized = code.requests('initialize').length;
  code.configure({ 'lacuna.server.path': '' });
  const toast = code.page.locator('.notification-toast', { hasText: 'cargo install --path server/cli' });
  await toast.waitFor();
  await code.picture('missing-everywhere');
  code.installServer();
  await toast.getByRole('button', { name: 'Try Again' }).click();
  await code.until('a new server', () => code.requests('initialize').length > initialized);
  await code.says(/ready/);
});

test('every request of the editor had an answer, and none an error that means a defect', () => {
  const unanswered = code.traffic().filter(({ dir, msg }) => dir === 'c2s' && msg.id !== undefined && msg.method)
    .filter(({ msg }) => !code.requests(msg.method).find(({ id, answer }) => id === msg.id && answer));
  assert.deepEqual(unanswered.map(({ msg }) => msg.method), []);
  const traffic = code.traffic();
  const last = (end, matches) => traffic.slice(0, end).findLastIndex(({ dir, msg }) => dir === 'c2s' && matches(msg));
  // What comes between `shutdown` and `exit` is to be refused so (LSP 3.18, Shutdown Request).
  const ending = ({ id, error }, at) => {
    const asked = last(at, (msg) => msg.method && msg.id === id);
    return error.code === -32600 && last(asked, ({ method }) => method === 'shutdown') > last(asked, ({ method }) => method === 'initialize');
  };
  const failed = traffic.filter(({ dir, msg }, at) => dir === 's2c' && msg.error && ![-32800, -32803].includes(msg.error.code) && !ending(msg, at));
  assert.deepEqual(failed, []);
});

test('a server that dies is started again', async () => {
  const initialized = code.requests('initialize').length;
  code.killServer();
  await code.until('a new server', () => code.requests('initialize').length > initialized);
  await code.says(/ready/);
});

/** In the page: notes everything the status bar item says, and every text a decoration of the canvas shows. */
function watch() {
  globalThis.observer?.disconnect();
  const seen = (globalThis.seen = { bar: new Set(), canvas: new Set() });
  const look = () => {
    const bar = document.querySelector('.statusbar-item[id^="lacuna.lacuna"] a');
    if (bar) seen.bar.add(bar.getAttribute('aria-label'));
    for (const element of document.querySelectorAll('.view-line [class*="ced-"]')) {
      const { content } = getComputedStyle(element, '::after');
      if (content !== 'none' && content !== 'normal') seen.canvas.add(content);
    }
  };
  globalThis.observer = new MutationObserver(look);
  globalThis.observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  look();
}

function leftovers() {
  return [...document.querySelectorAll('.view-line [class*="ced-"]')].filter((element) => !['none', 'normal'].includes(getComputedStyle(element, '::after').content)).length;
}
