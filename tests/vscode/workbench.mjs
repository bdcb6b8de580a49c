// A real VS Code: code-server with the packaged extension, in a headless Chromium, driven by keys as a person would.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How long something may take that a person would see at once; the machine may be busy. */
export const PATIENCE_MS = Number(process.env.LACUNA_PATIENCE_MS ?? 60_000);

const environment = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} is not set: see tests/vscode/README.md`);
  return resolve(value);
};

/** A quiet editor. */
const USER = {
  'security.workspace.trust.enabled': false,
  'workbench.startupEditor': 'none',
  'telemetry.telemetryLevel': 'off',
  'extensions.ignoreRecommendations': true,
  'editor.wordBasedSuggestions': 'off',
  'editor.autoClosingBrackets': 'never',
  'chat.disableAIFeatures': true,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'editor.lightbulb.enabled': 'on',
  'window.commandCenter': false,
  'editor.minimap.enabled': false,
};

export class Workbench {
  /** With files in a folder; a bench goes without the `recorded` traffic, which takes time, and chooses `settings` and `page`. */
  static async open(files, options = {}) {
    const workbench = new Workbench();
    try {
      await workbench.start(files, options);
    } catch (error) {
      await workbench.close();
      throw error;
    }
    return workbench;
  }

  async start(files, { settings = {}, page = {}, recorded = true }) {
    const installed = environment('LACUNA_VSCODE');
    this.pictures = resolve(process.env.LACUNA_PICTURES ?? join(installed, 'pictures'));
    mkdirSync(this.pictures, { recursive: true });
    this.root = mkdtempSync(join(tmpdir(), 'lacuna-vscode-'));
    this.recording = join(this.root, 'traffic.jsonl');
    this.folder = join(this.root, 'folder');
    for (const path of ['folder', 'data/User', 'data/Machine', 'home']) mkdirSync(join(this.root, path), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, name), text);
    writeFileSync(this.recording, '');
    this.server = join(this.root, 'lacuna-started');
    this.pidFile = join(this.root, 'pid');
    const tee = `'${process.execPath}' '${fileURLToPath(new URL('tee.mjs', import.meta.url))}' '${this.recording}'`;
    writeFileSync(this.server, `#!/bin/sh\necho $$ >'${this.pidFile}'\nexec ${recorded ? tee : ''} '${environment('LACUNA')}' "$@"\n`);
    chmodSync(this.server, 0o755);
    writeFileSync(join(this.root, 'data/User/settings.json'), JSON.stringify({ ...USER, ...settings }, null, 2));
    this.configure({});

    const program = [join(installed, 'node_modules/.bin/code-server'), '--user-data-dir', join(this.root, 'data'), '--extensions-dir', join(this.root, 'extensions')];
    const options = { env: { ...process.env, HOME: join(this.root, 'home'), XDG_CONFIG_HOME: '', PATH: `${join(process.execPath, '..')}:${process.env.PATH}` } };
    this.version = spawnSync(program[0], ['--version'], { ...options, encoding: 'utf8' }).stdout.trim().split('\n').at(-1);
    const install = spawnSync(program[0], [...program.slice(1), '--install-extension', environment('LACUNA_VSIX')], { ...options, encoding: 'utf8' });
    if (install.status !== 0) throw new Error(`the extension cannot be installed: ${install.stdout}${install.stderr}`);
    const command = ['--auth', 'none', '--bind-addr', '127.0.0.1:0', '--disable-telemetry', '--disable-update-check', '--disable-workspace-trust'];
    this.process = spawn(program[0], [...program.slice(1), ...command], { ...options, detached: true });
    const address = await new Promise((found, failed) => {
      let said = '';
      const read = (chunk) => {
        said += chunk;
        const match = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(said);
        if (match) found(match[1]);
      };
      this.process.stdout.on('data', read);
      this.process.stderr.on('data', read);
      this.process.on('exit', () => failed(new Error(`code-server ended: ${said}`)));
    });

    const { chromium } = createRequire(join(installed, 'package.json'))('playwright-core');
    const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
    this.browser = await chromium.launch({ executablePath: process.env.LACUNA_CHROMIUM ?? executablePath, args });
    this.page = await this.browser.newPage({ viewport: { width: 1100, height: 700 }, ...page });
    this.page.setDefaultTimeout(PATIENCE_MS);
    await this.page.goto(`${address}/?folder=${encodeURIComponent(this.folder)}`);
    await this.page.waitForSelector('.monaco-workbench');
  }

  async close() {
    await this.browser?.close().catch(() => {});
    if (this.process && this.process.exitCode === null) {
      const ended = new Promise((done) => this.process.on('exit', done));
      process.kill(-this.process.pid, 'SIGTERM');
      await ended;
    }
    // The conversation is kept with the pictures, in the form that lacuna-tee records in.
    if (this.recording && this.traffic().length > 0) copyFileSync(this.recording, join(this.pictures, 'traffic.jsonl'));
    if (this.root) rmSync(this.root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** Sets the editor's settings, as those of the machine that extensions run on: the editor sees when that file changes. */
  configure(settings) {
    const machine = { 'lacuna.server.path': this.server, ...settings };
    writeFileSync(join(this.root, 'data/Machine/settings.json'), JSON.stringify(machine, null, 2));
  }

  /** Puts the server where cargo would. */
  installServer() {
    const folder = join(this.root, 'home/.cargo/bin');
    mkdirSync(folder, { recursive: true });
    symlinkSync(this.server, join(folder, 'lacuna'));
  }

  /** Ends the server as a crash would. */
  killServer() {
    process.kill(Number(readFileSync(this.pidFile, 'utf8')), 'SIGKILL');
  }

  /** How many servers run. */
  servers() {
    const { stdout } = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    return stdout.split('\n').filter((line) => line.includes('tee.mjs') && line.includes(this.recording)).length;
  }

  userSettings() {
    return JSON.parse(readFileSync(join(this.root, 'data/User/settings.json'), 'utf8'));
  }

  text(name) {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  /** The conversation with the server so far. */
  traffic() {
    return readFileSync(this.recording, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  /** Requests of a method with their answers, from the `since`th message on. */
  requests(method, since = 0) {
    const traffic = this.traffic().slice(since);
    return traffic
      .filter(({ dir, msg }) => dir === 'c2s' && msg.method === method)
      .map(({ msg }) => ({ ...msg, answer: traffic.find((other) => other.dir === 's2c' && other.msg.id === msg.id && !other.msg.method)?.msg }));
  }

  notifications(method, since = 0) {
    return this.traffic().slice(since).filter(({ msg }) => msg?.method === method).map(({ msg }) => msg.params);
  }

  /** Waits until `probe` gives something true, and gives it. */
  async until(what, probe) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = await probe();
      if (found) return found;
      if (Date.now() > deadline) {
        await this.picture(`failed-${what.replace(/\W+/g, '-')}`);
        throw new Error(`${what}: not within ${PATIENCE_MS / 1000} s`);
      }
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  async keys(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  async type(text) {
    await this.page.keyboard.type(text, { delay: 60 });
  }

  /** Opens a file and puts the caret at a place of it, both from 1; again where the editor lost the click on its list. */
  async goto(name, line = 1, column = 1) {
    const tab = this.page.locator(`.tab.active[data-resource-name="${name}"]`).first();
    await this.until(`${name} is open`, async () => {
      await this.pick('Control+p', `${name}:${line}:${column}`, name);
      return tab.waitFor({ timeout: PATIENCE_MS / 6 }).then(() => true, () => false);
    });
  }

  async command(title) {
    await this.pick('F1', `>${title}`, title);
  }

  async pick(key, text, label) {
    await this.page.keyboard.press(key);
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    await input.waitFor();
    await input.fill(text);
    const name = this.page.locator('.label-name', { hasText: new RegExp(`^${label}$`) });
    await this.page.locator('.quick-input-list .monaco-list-row', { has: name }).first().click();
    await this.page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  }

  /** The ghost text, once it is there. */
  async ghost() {
    return this.until('ghost text is visible', async () => {
      const parts = await this.page.locator('[class*="ghost-text"]').allInnerTexts();
      return parts.join('').replaceAll('\u00a0', ' ').trim() && parts.join('');
    });
  }

  async noGhost() {
    await this.until('no ghost text', async () => (await this.page.locator('[class*="ghost-text"]').count()) === 0);
  }

  /** Lacuna's item of the status bar. */
  bar() {
    return this.page.locator('.statusbar-item[id="lacuna.lacuna.lacuna"], .statusbar-item[id="lacuna.lacuna"]').first();
  }

  /** Waits until the status bar item says something. */
  async says(pattern) {
    return this.until(`the status bar says ${pattern}`, async () => {
      const label = await this.bar().locator('a').getAttribute('aria-label').catch(() => null);
      return label && pattern.test(label) && label;
    });
  }

  /** Saves a file until it holds a text: an edit may still be on its way. */
  async holds(name, text) {
    const same = async () => {
      await this.page.keyboard.press('Control+s');
      return this.text(name) === text;
    };
    await this.until(`${name} is as expected`, same).catch(() => assert.equal(this.text(name), text));
  }

  async picture(name) {
    await this.page.screenshot({ path: join(this.pictures, `${name}.png`), animations: 'disabled' }).catch(() => {});
  }
}

/** A text after an LSP edit or inline completion item; positions in UTF-16 units, as VS Code counts. */
export function applied(text, { range, newText, insertText }) {
  const lines = text.split('\n');
  const offset = ({ line, character }) => lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0) + character;
  return text.slice(0, offset(range.start)) + (newText ?? insertText) + text.slice(offset(range.end));
}
