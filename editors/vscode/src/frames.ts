// What a frame of the canvas looks like in one line. Pure: no editor, no server.

import type { Range } from 'vscode-languageclient/node';

/** `lacuna/frame`. */
export interface Frame {
  uri: string;
  version: number;
  range: Range;
  canvas: number;
  cells: { text: string; state: 'noise' | 'accepted' | 'clamped' }[];
}

/** Neighbouring cells of one kind. */
export interface Run {
  text: string;
  /** Whether the model has made up its mind for this step. */
  settled: boolean;
}

/** Most characters that are shown; a canvas may be longer than a screen is wide. */
export const CHARACTERS_MAX = 160;

/** The canvas as runs of settled and unsettled text; line breaks and tabs, which a decoration cannot show, as signs. */
export function runs(cells: Frame['cells']): Run[] {
  const found: Run[] = [];
  let room = CHARACTERS_MAX;
  for (const { text, state } of cells) {
    const sign = [...text.replace(/\r?\n\s*/g, '⏎ ').replace(/\t/g, '→')].slice(0, room).join('');
    room -= [...sign].length;
    const settled = state !== 'noise';
    const last = found.at(-1);
    if (last?.settled === settled) last.text += sign;
    else if (sign !== '') found.push({ text: sign, settled });
  }
  return found;
}
