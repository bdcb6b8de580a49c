// Shows the text condensing: frames of the canvas as decorations at the hole, until the fill is over or the text changes.

import { Range, ThemeColor, type DecorationOptions, type Disposable, type TextEditor, window, workspace } from 'vscode';
import { type Frame, runs } from './frames.ts';

/** Frames come faster than anybody sees; the newest one is drawn this often. */
const REDRAW_MS = 33;

/** The canvas in the editor. */
export class Canvas implements Disposable {
  private readonly text = window.createTextEditorDecorationType({});
  private readonly replaced = window.createTextEditorDecorationType({ opacity: '0.4' });
  private frame: Frame | undefined;
  private uri: string | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** Takes a frame; those of the batch's other canvases are not shown. */
  take(frame: Frame): void {
    if (frame.canvas !== 0 || workspace.getConfiguration('workbench').get('reduceMotion') === 'on') return;
    this.frame = frame;
    this.uri = frame.uri;
    if (this.timer === undefined) this.draw();
  }

  /** Takes everything away, where it is of this document. */
  clear(uri = this.uri): void {
    if (uri !== this.uri) return;
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
    const shows = ({ document }: TextEditor) => `${document.uri}` === frame.uri && document.version === frame.version;
    for (const editor of window.visibleTextEditors.filter(shows)) {
      const { start, end } = frame.range;
      const range = new Range(start.line, start.character, end.line, end.character);
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
