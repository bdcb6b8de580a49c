// Writes the server's settings (server/lsp/schema.json) into package.json, as the editor wants them: flat, with whole names.
// `node scripts/settings.mjs`; `--check` changes nothing and fails where they differ.

import { readFileSync, writeFileSync } from 'node:fs';

const manifest = new URL('../package.json', import.meta.url);
const schema = new URL('../../../server/lsp/schema.json', import.meta.url);

/** What is this extension's own, or other here than elsewhere. */
const OURS = {
  'lacuna.server.path': {
    type: 'string',
    default: '',
    scope: 'machine',
    markdownDescription:
      'The server’s program, `lacuna`; absolute or starting with `~/`. Empty: the one on the PATH or in `~/.cargo/bin`, else the one inside of this extension.',
  },
  'lacuna.frames': {
    default: true,
    markdownDescription:
      'Shows the text condensing while a hole is filled, and counts the steps in the status bar. Nothing is drawn where `#workbench.reduceMotion#` is `on`.',
  },
};

/** Those that name a program or files: a workspace that is not trusted has no say in them. */
const RESTRICTED = ['lacuna.engine.model', 'lacuna.log.file'];

/** The leaves of a schema, by their whole name. */
export function flatten(node, name = 'lacuna') {
  if (node.properties === undefined) {
    const { description, enumDescriptions, ...rest } = node;
    const leaf = { ...rest, markdownDescription: description };
    if (enumDescriptions !== undefined) leaf.markdownEnumDescriptions = enumDescriptions;
    if (RESTRICTED.includes(name)) leaf.scope = 'machine-overridable';
    return { [name]: leaf };
  }
  return Object.assign({}, ...Object.entries(node.properties).map(([key, child]) => flatten(child, `${name}.${key}`)));
}

/** What `contributes.configuration` and `capabilities` of the manifest must be. */
export function wanted(schema) {
  const properties = flatten(schema);
  for (const [name, over] of Object.entries(OURS)) properties[name] = { ...properties[name], ...over };
  const sorted = Object.fromEntries(Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    configuration: { title: 'Lacuna', properties: sorted },
    untrustedWorkspaces: {
      supported: 'limited',
      description: 'A workspace that is not trusted cannot choose the server, its model or its log file.',
      restrictedConfigurations: ['lacuna.server.path', ...RESTRICTED],
    },
  };
}

/** The manifest as it is and as it should be. */
export function manifests() {
  const text = readFileSync(manifest, 'utf8');
  const { configuration, untrustedWorkspaces } = wanted(JSON.parse(readFileSync(schema, 'utf8')));
  const object = JSON.parse(text);
  object.capabilities = { ...object.capabilities, untrustedWorkspaces };
  object.contributes = { ...object.contributes, configuration };
  return { is: text, should: `${JSON.stringify(object, null, 2)}\n` };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { is, should } = manifests();
  if (is === should) console.log('package.json has the settings of server/lsp/schema.json');
  else if (process.argv.includes('--check')) {
    console.error('package.json does not have the settings of server/lsp/schema.json: run `npm run settings`');
    process.exit(1);
  } else writeFileSync(manifest, should);
}
