// Where the server is: the setting, else the PATH (and cargo's folder), else the one inside of the extension.

import { join } from 'node:path';

/** What there is to look through. */
export interface Places {
  /** `lacuna.server.path`; empty where nobody set it. */
  setting: string;
  home: string;
  /** Folders of the PATH. */
  path: string[];
  /** Folder of the extension. */
  extension: string;
  windows: boolean;
}

/** The server's program, or what to tell the person who has none. */
export type Found = { program: string; missing?: undefined } | { program?: undefined; missing: string };

/** Looks for the server. A path that was set and does not fit is an error, not a reason to take another one. */
export function find(places: Places, isProgram: (path: string) => boolean): Found {
  const { setting, home, extension } = places;
  if (setting !== '') {
    const program = setting.startsWith('~/') ? join(home, setting.slice(2)) : setting;
    if (isProgram(program)) return { program };
    return { missing: `Lacuna: the setting lacuna.server.path is “${setting}”, and there is no program at that path. Correct it, or clear it to use the PATH.` };
  }
  const name = places.windows ? 'lacuna.exe' : 'lacuna';
  // An editor that was not started from a shell often has a PATH without cargo's folder.
  const folders = [...places.path, join(home, '.cargo', 'bin'), join(extension, 'bin')];
  const program = folders.map((folder) => join(folder, name)).find(isProgram);
  if (program !== undefined) return { program };
  return {
    missing:
      'Lacuna: its server was not found on the PATH, in ~/.cargo/bin or inside of this extension. Run “cargo install --path server/cli” ' +
      'in a checkout of Lacuna and try again, or set lacuna.server.path to the program.',
  };
}
