// Shows the text condensing: frames of the canvas as decorations at the hole, until the fill is over or the text changes.

import { Position, Range, ThemeColor, type DecorationOptions, type Disposable, type TextEditor, window, workspace } from 'vscode';
import { type Frame, runs } from './frames.ts';

/** Frames come faster than anybody sees; the newest one is drawn this often. */
const REDRAW_MS = 33;

/** The canvas in the editor. */
export class Canvas implements Disposable {
  private readonly text = window.createTextEditorDecorationType({});
  private readonly replaced = window.createTextEditorDecorationType({ opacity: '0.4' });
  private frame: Frame | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** Takes a frame; those of the batch's other canvases are not shown. */
  take(frame: Frame): void {
    if (frame.canvas !== 0 || workspace.getConfiguration('workbench').get('reduceMotion') === 'on') return;
    this.frame = frame;
    if (this.timer === undefined) this.draw();
  }

  /** Takes everything away. */
  clear(): void {
    clearTimeout(this.timer);
    this.timer = this.frame = undefined;
    for (const editor of window.visibleTextEditors) this.decorate(editor, [], []);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.text.dispose();
    this.replaced.dispose();
  }

  private draw(): void {
    const { frame } = this;
    this.timer = frame && setTimeout(() => this.draw(), REDRAW_MS);
    this.frame = undefined;
    if (frame === undefined) return;
    for (const editor of window.visibleTextEditors) {
      const { document } = editor;
      if (document.uri.toString() !== frame.uri || document.version !== frame.version) continue;
      const { start, end } = frame.range;
      const range = new Range(new Position(start.line, start.character), new Position(end.line, end.character));
      const at = new Range(range.start, range.start);
      this.decorate(editor, runs(frame.cells).map(({ text, settled }) => drawn(at, text, settled)), range.isEmpty ? [] : [range]);
    }
  }

  private decorate(editor: TextEditor, text: DecorationOptions[], replaced: Range[]): void {
    editor.setDecorations(this.text, text);
    editor.setDecorations(this.replaced, replaced);
  }
}

function drawn(range: Range, text: string, settled: boolean): DecorationOptions {
  const color = new ThemeColor(settled ? 'editor.foreground' : 'editorGhostText.foreground');
  // Spaces at either end of a decoration collapse.
  return { range, renderOptions: { after: { contentText: text.replaceAll(' ', '\u00a0'), color, fontStyle: settled ? 'normal' : 'italic' } } };
}
