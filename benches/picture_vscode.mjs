// Takes the picture of ghost text in a real VS Code: code-server in a headless Chromium, the packaged extension, the server with
// the shipped model, and keys as a person presses them.
//
//     LACUNA_VSCODE=DIR LACUNA=target/release/lacuna LACUNA_VSIX=editors/vscode/lacuna.vsix \
//       DIR/node_modules/node/bin/node benches/picture_vscode.mjs OUT.png          (DIR: see .ci/vscode)
//
// The right text is typed into each file of benches/picture_cases.json, until the ghost text is the rest of it: that is the
// picture. Without any nothing is written, and it fails.

import { readFileSync } from 'node:fs';
import { Workbench } from '../tests/vscode/workbench.mjs';

/** Files of fixtures/text, what is right in place of their marker, and, where the hole is elsewhere, what stands there. */
const CASES = JSON.parse(readFileSync(new URL('picture_cases.json', import.meta.url), 'utf8'));
/** A shorter ghost text is no picture. */
const REST_MIN = 10;
const MARKER = '‹›';
const GHOST_WITHIN_MS = 1500;
const STAYS_MS = 500;
const SETTINGS = {
  'workbench.colorTheme': 'Default Dark Modern',
  'editor.fontFamily': "'DejaVu Sans Mono', monospace",
  'editor.lightbulb.enabled': 'off',
  'editor.matchBrackets': 'never',
  'editor.stickyScroll.enabled': false,
  'breadcrumbs.enabled': false,
  'workbench.activityBar.location': 'hidden',
  'workbench.layoutControl.enabled': false,
  'editor.cursorBlinking': 'solid',
  'editor.hideCursorInOverviewRuler': true,
  'editor.inlineSuggest.fontFamily': 'default',
};
/** What is shown: lines around the hole, at README's width. */
const WIDTH = 760;
const HEIGHT = 430;

const out = process.argv[2];
if (!out) throw new Error('usage: picture_vscode.mjs OUT.png');

/** The text of a case, its hole marked. */
function marked({ file, marker, hole = marker }) {
  const text = readFileSync(new URL(`../fixtures/text/${file}`, import.meta.url), 'utf8').replace(MARKER, marker);
  return text.replace(hole, MARKER);
}
/** A file for each case, of its own name: the first one of a name as it is. */
const names = CASES.map(({ file }, index) => (CASES.findIndex((other) => other.file === file) === index ? file : file.replace('.', `${index}.`)));
const files = Object.fromEntries(CASES.map((it, index) => [names[index], marked(it).replace(MARKER, '')]));

const code = await Workbench.open(files, { recorded: false, settings: SETTINGS, page: { viewport: { width: WIDTH, height: HEIGHT }, deviceScaleFactor: 2 } });

/** The ghost text, once it is `wanted` or stays as it is. */
async function ghost(wanted) {
  const deadline = Date.now() + GHOST_WITHIN_MS;
  let [text, since] = ['', Date.now()];
  while (Date.now() < deadline && text !== wanted && (text === '' || Date.now() < since + STAYS_MS)) {
    const now = (await code.page.locator('.view-line [class*="ghost-text"]').allInnerTexts()).join('').replaceAll('\u00a0', ' ');
    if (now !== text) [text, since] = [now, Date.now()];
  }
  return text;
}

/** Types the answer of a case until the ghost text is the rest; gives that, or nothing. */
async function rest(it, name) {
  const answer = it.hole ?? it.marker;
  const before = marked(it).split(MARKER)[0].split('\n');
  await code.goto(name, before.length, before.at(-1).length + 1);
  await code.says(/ready/);
  await code.keys('Space', 'Backspace');
  for (let typed = 0; answer.length - typed >= REST_MIN; typed += 1) {
    if (typed > 0) await code.type(answer[typed - 1]);
    const wanted = answer.slice(typed);
    const said = await ghost(wanted);
    console.log(`${name}: ${answer.slice(0, typed)}[${said}]`);
    if (said === wanted) return wanted;
  }
  await code.keys('Control+s');
  await code.command('View: Close Editor');
  return undefined;
}

try {
  await code.command('View: Toggle Primary Side Bar Visibility');
  let found;
  for (const [index, it] of CASES.entries()) if ((found ??= await rest(it, names[index])) !== undefined) break;
  if (found === undefined) throw new Error('no case is worth a picture');
  await code.page.mouse.move(WIDTH - 5, HEIGHT / 2);
  await code.page.screenshot({ path: out });
} finally {
  await code.close();
}
