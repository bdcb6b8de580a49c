// The manifest's settings are the server's.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { flatten, manifests, wanted } from '../scripts/settings.mjs';

const schema = JSON.parse(readFileSync(new URL('../../../server/lsp/schema.json', import.meta.url), 'utf8'));

test('package.json has the settings of the server', () => {
  const { is, should } = manifests();
  assert.equal(is, should, 'run `npm run settings`');
});

test('every leaf of the schema is there by its whole name', () => {
  const { properties } = wanted(schema).configuration;
  for (const name of ['lacuna.enabled', 'lacuna.engine.device', 'lacuna.files.exclude', 'lacuna.languages', 'lacuna.log.code']) {
    assert.ok(name in properties, name);
  }
  assert.ok(!('lacuna.engine' in properties), 'sections are no settings');
  const defaults = (node) => (node.properties ? Object.values(node.properties).flatMap(defaults) : [node]);
  assert.equal(Object.keys(properties).length, defaults(schema).length + 1, 'and the server’s path');
});

test('a leaf keeps its type, default and limits', () => {
  const leaf = { type: 'integer', default: 3, minimum: 1, maximum: 64, description: 'How many.' };
  const { description, ...rest } = leaf;
  assert.deepEqual(flatten({ properties: { a: { properties: { b: leaf } } } }), { 'lacuna.a.b': { ...rest, markdownDescription: description } });
});

test('frames are the only default that differs from the server’s', () => {
  const flat = flatten(schema);
  const { properties } = wanted(schema).configuration;
  const different = Object.keys(flat).filter((name) => JSON.stringify(flat[name].default) !== JSON.stringify(properties[name].default));
  assert.deepEqual(different, ['lacuna.frames']);
});
