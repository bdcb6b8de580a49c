// Lacuna in VS Code: starts the server, maps commands to its actions, shows its state and its canvas. Everything else is the
// server's, or the editor's own.

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter } from 'node:path';
import {
  CancellationError, type CodeAction, ConfigurationTarget, type ExtensionContext, MarkdownString, StatusBarAlignment, type TextDocument,
  ThemeColor, commands, window, workspace,
} from 'vscode';
import { ExecuteCommandRequest, LanguageClient, type LanguageClientOptions, RevealOutputChannelOn, State } from 'vscode-languageclient/node';
import { Canvas } from './canvas.ts';
import type { Frame } from './frames.ts';
import { find } from './server.ts';
import { type Status, allows, shown } from './status.ts';

/** Fills are often over before a person reads that one began; only those that last are shown. */
const BUSY_AFTER_MS = 120;
/** A server that is still starting cannot be stopped; one that never gets there is not waited for. */
const START_MS = 3000;
const SERVER_SETTING = 'lacuna.server.path';

const settings = () => workspace.getConfiguration('lacuna');
const works = ({ languageId }: TextDocument) => settings().get('enabled', true) && allows(settings().get('languages', {}), languageId);
const languageOff = (document?: TextDocument) => (document && !works(document) ? document.languageId : undefined);

class Lacuna {
  private readonly log = window.createOutputChannel('Lacuna', { log: true });
  private readonly bar = window.createStatusBarItem('lacuna', StatusBarAlignment.Right, 100);
  private readonly canvas = new Canvas();
  private readonly extension: string;
  private status: Status = { state: 'starting', message: 'starting the server' };
  private client: LanguageClient | undefined;
  private started: Promise<void> = Promise.resolve();
  private turn: Promise<void> = Promise.resolve();
  private busy: NodeJS.Timeout | undefined;

  constructor({ extensionPath, subscriptions }: ExtensionContext) {
    this.extension = extensionPath;
    this.bar.name = 'Lacuna';
    this.bar.show();
    const action = (kind: string) => () => this.act(kind);
    const all: Record<string, () => unknown> = {
      'lacuna.fillHere': action('refactor.rewrite.lacuna.fill'),
      'lacuna.refineSelection': action('refactor.rewrite.lacuna.refine'),
      'lacuna.completeBody': action('refactor.rewrite.lacuna.body'),
      'lacuna.repairHere': action('quickfix.lacuna.repair'),
      'lacuna.toggleEnabled': () => this.toggle(),
      'lacuna.toggleLanguage': () => this.toggle(window.activeTextEditor?.document.languageId),
      'lacuna.showStatus': () => this.explain(),
      'lacuna.restart': () => (this.client?.isRunning() ? this.request('lacuna.restartEngine') : this.start()),
      'lacuna.openLog': () => this.log.show(),
    };
    subscriptions.push(
      this.log, this.bar, this.canvas,
      ...Object.entries(all).map(([name, run]) => commands.registerCommand(name, run)),
      window.onDidChangeActiveTextEditor(() => this.show(this.status)),
      workspace.onDidChangeTextDocument(({ contentChanges, document }) => contentChanges.length > 0 && this.canvas.clear(`${document.uri}`)),
      workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration(SERVER_SETTING)) void this.start();
        else if (change.affectsConfiguration('lacuna')) this.show(this.status);
      }),
    );
  }

  /** Starts the server, anew where one runs; says what to do where there is none. One after the other: each start stops the server before it. */
  start(): Promise<void> {
    return (this.turn = this.turn.then(() => this.stop()).then(() => this.launch()));
  }

  private launch(): void {
    const setting = settings().get('server.path', '').trim();
    const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
    const { program, missing } = find({ setting, home: homedir(), path, extension: this.extension, windows: process.platform === 'win32' }, isProgram);
    if (missing !== undefined) return void this.miss(missing);
    this.log.info(`server: ${program}`);
    const client = new LanguageClient('lacuna', 'Lacuna', { command: program, args: ['lsp'] }, this.options());
    this.client = client;
    client.onNotification('lacuna/status', (status: Status) => this.show(status));
    client.onNotification('lacuna/frame', (frame: Frame) => this.canvas.take(frame));
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Starting) this.show({ state: 'starting', message: 'starting the server' });
      if (newState === State.Stopped && client === this.client) this.show({ state: 'error', message: 'the server has stopped; its log says why' });
    });
    this.started = client.start().catch((error: Error) => this.show({ state: 'error', message: `${program} does not start: ${error.message}` }));
  }

  async stop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await Promise.race([this.started, new Promise((done) => setTimeout(done, START_MS))]);
    await client?.dispose().catch((error: Error) => this.log.warn(error.message));
  }

  private options(): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: 'file' }, { scheme: 'untitled' }],
      outputChannel: this.log, revealOutputChannelOn: RevealOutputChannelOn.Never,
      synchronize: { configurationSection: 'lacuna' },
      middleware: {
        // Where Lacuna is off, nothing is asked.
        provideInlineCompletionItems: (document, place, context, token, next) => (works(document) ? next(document, place, context, token) : undefined),
        provideCompletionItem: (document, place, context, token, next) => (works(document) ? next(document, place, context, token) : undefined),
        provideCodeActions: (document, range, context, token, next) => (works(document) ? next(document, range, context, token) : undefined),
        // The editor would swallow the reason.
        resolveCodeAction: (item, token, next) => Promise.resolve(next(item, token)).catch((error: Error) => {
          if (!(error instanceof CancellationError)) void window.showWarningMessage(`Lacuna: ${error.message}`);
          return item;
        }),
        // The server's path is no setting of the server's.
        workspace: {
          configuration: async (params, token, next) => {
            const values = await next(params, token);
            return Array.isArray(values) ? values.map((value) => ({ ...value, server: undefined })) : values;
          },
        },
      },
    };
  }

  private show(status: Status): void {
    const wasReady = this.status.state === 'ready' || this.busy !== undefined;
    this.status = status;
    if (status.state === 'busy' && wasReady) return void (this.busy ??= setTimeout(() => this.draw(), BUSY_AFTER_MS));
    if (status.state !== 'busy') this.canvas.clear();
    this.draw();
  }

  private draw(): void {
    clearTimeout(this.busy);
    this.busy = undefined;
    const document = window.activeTextEditor?.document;
    const { text, summary, details, bad } = shown(this.status, languageOff(document));
    this.bar.text = text;
    this.bar.accessibilityInformation = { label: `Lacuna: ${summary}` };
    this.bar.backgroundColor = bad ? new ThemeColor('statusBarItem.errorBackground') : undefined;
    this.bar.command = bad ? 'lacuna.openLog' : 'lacuna.showStatus';
    const hover = new MarkdownString('', true);
    hover.isTrusted = { enabledCommands: ['lacuna.openLog', 'lacuna.toggleEnabled', 'lacuna.toggleLanguage', 'lacuna.restart'] };
    hover.appendText([`Lacuna: ${summary}`, ...details].join('\n'));
    hover.appendMarkdown('\n\n[Open Log](command:lacuna.openLog) · [Restart](command:lacuna.restart) · [On/Off](command:lacuna.toggleEnabled)');
    if (document) hover.appendMarkdown(` · [On/Off for ${document.languageId}](command:lacuna.toggleLanguage)`);
    this.bar.tooltip = hover;
  }

  /** Offers the way out, since without a server nothing else works. */
  private async miss(message: string): Promise<void> {
    this.log.error(message);
    this.show({ state: 'error', message });
    const chosen = await window.showErrorMessage(message, 'Open Setting', 'How to Install', 'Try Again');
    if (chosen === 'Open Setting') await commands.executeCommand('workbench.action.openSettings', SERVER_SETTING);
    if (chosen === 'How to Install') await commands.executeCommand('workbench.action.openWalkthrough', 'lacuna.lacuna#start');
    if (chosen === 'Try Again') await this.start();
  }

  private async explain(): Promise<void> {
    const { summary } = shown(this.status, languageOff(window.activeTextEditor?.document));
    const toggle = summary.startsWith('off for ') ? 'toggleLanguage' : 'toggleEnabled';
    const ways: Record<string, string> = { 'Open Log': 'openLog', 'Restart Engine': 'restart', 'Turn On or Off': toggle };
    const chosen = await window.showInformationMessage(`Lacuna: ${summary}`, ...Object.keys(ways));
    if (chosen) await commands.executeCommand(`lacuna.${ways[chosen]}`);
  }

  /** Runs the server's code action of a kind here. `editor.action.codeAction` drops its request where caret or diagnostics just changed. */
  private async act(kind: string): Promise<void> {
    const { document, selection } = window.activeTextEditor ?? {};
    await this.started;
    if (!this.client?.isRunning()) return this.start();
    if (!document || !selection) return;
    if (!works(document)) return this.explain();
    const { version } = document;
    const [action] = await commands.executeCommand<CodeAction[]>('vscode.executeCodeActionProvider', document.uri, selection, kind, 1);
    // Where nothing is offered, doing it says why not.
    const perform = { kind: kind.split('.').at(-1), uri: `${document.uri}`, range: this.client.code2ProtocolConverter.asRange(selection) };
    if (!action) await this.request('lacuna.perform', perform).catch(({ message }: Error) => window.showInformationMessage(`Lacuna: ${message}`));
    else if (document.version !== version) void window.showWarningMessage('Lacuna: the text has changed meanwhile; run it again');
    else if (action.edit) await workspace.applyEdit(action.edit);
  }

  /** Turns Lacuna or a language over, in the settings, and in this session where a project's file says otherwise. */
  private async toggle(language?: string): Promise<void> {
    const key = language === undefined ? 'enabled' : 'languages';
    const known = settings().inspect<boolean | Record<string, boolean>>(key);
    const at = known?.workspaceValue === undefined ? ConfigurationTarget.Global : ConfigurationTarget.Workspace;
    const off = this.status.state === 'disabled' || !settings().get('enabled', true);
    const enabled = language === undefined ? off : !allows(settings().get('languages', {}), language);
    const value = language === undefined ? enabled : { ...((known?.workspaceValue ?? known?.globalValue) as Record<string, boolean> | undefined), [language]: enabled };
    await settings().update(key, value, at);
    if (this.client?.isRunning()) await this.request('lacuna.toggle', { enabled, language });
  }

  private async request(command: string, argument?: object): Promise<void> {
    await this.client?.sendRequest(ExecuteCommandRequest.type, { command, arguments: argument && [argument] });
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

let lacuna: Lacuna | undefined;

export function activate(context: ExtensionContext): void {
  lacuna = new Lacuna(context);
  void lacuna.start();
}

export const deactivate = (): Promise<void> | undefined => lacuna?.stop();
