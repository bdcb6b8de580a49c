// What the status bar says of the server's state. Pure: no editor, no server.

/** `lacuna/status`, as far as it is shown. */
export interface Status {
  state: 'starting' | 'ready' | 'busy' | 'disabled' | 'error';
  message: string;
  step?: { step: number; stepsMax: number };
  last?: { promptTokens: number; cachedTokens: number; totalMs: number };
  counters?: { requests: number; inferencesStarted: number; typedThrough: number; unsure?: number };
}

/** An item of the status bar. */
export interface Shown {
  text: string;
  /** One line a screen reader and the hover begin with. */
  summary: string;
  /** More lines of the hover. */
  details: string[];
  /** Whether something needs a person. */
  bad: boolean;
}

const ICONS = { starting: 'loading~spin', ready: 'sparkle', busy: 'loading~spin', disabled: 'circle-slash', error: 'error' };

/** The item for a state, in an editor whose language is `languageOff` where Lacuna stays out of it. */
export function shown(status: Status, languageOff?: string): Shown {
  const off = languageOff !== undefined && (status.state === 'ready' || status.state === 'busy');
  const step = status.step && status.state === 'busy' && !off ? ` ${status.step.step}/${status.step.stepsMax}` : '';
  const { last, counters: all } = status;
  const details = [
    last && `Last: ${last.totalMs.toFixed(0)} ms, ${last.promptTokens} tokens of prompt, ${last.cachedTokens} of them cached`,
    all && `Since the start: ${all.requests} requests, ${all.inferencesStarted} inferences, ${all.typedThrough} typed through${all.unsure ? `, ${all.unsure} kept back as too unsure` : ''}`,
  ].filter((line) => line !== undefined);
  return {
    text: `$(${ICONS[off ? 'disabled' : status.state]}) Lacuna${step}`,
    summary: off ? `off for ${languageOff}` : status.message,
    details,
    bad: status.state === 'error',
  };
}

/** The languages these are dialects of for the server: an entry for one speaks for the other. */
const BASES: Record<string, string> = { 'cuda-cpp': 'cpp', javascriptreact: 'javascript', jsonc: 'json', jsonl: 'json', 'objective-cpp': 'cpp', typescriptreact: 'typescript' };

/** Whether the setting `lacuna.languages` lets Lacuna work in a language. */
export function allows(languages: Record<string, boolean>, id: string): boolean {
  return languages[id] ?? languages[BASES[id] ?? id] ?? languages['*'] ?? true;
}
