import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { hashApiKey } from '../../shared/api-keys.ts';
import { startApi } from '../support/api.ts';

const STUDIO = 'a-key-of-a-studio-of-32-characters';
const BOSS = 'a-key-of-an-admin-of-32-characters';
const keys = [
  { name: 'studio', sha256: hashApiKey(STUDIO), role: 'render' },
  { name: 'boss', sha256: hashApiKey(BOSS), role: 'admin' },
];
const api = await startApi({ auth: { keys }, logging: { audit_log: 'logs/audit.log' } });
const { app, services, renderIn, reconfigure } = api;

async function lines(): Promise<Record<string, unknown>[]> {
  const file = path.join(path.dirname(services.config.sourcePath ?? ''), 'logs', 'audit.log');
  const text = await readFile(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function act(method: 'POST' | 'DELETE', url: string, key: string, id: string) {
  const headers = { host: '127.0.0.1', authorization: `Bearer ${key}`, 'x-request-id': id };
  return await app.inject({ method, url, headers });
}

it('the audit log says who did what, to what, and what came of it', async () => {
  const id = await renderIn('rendering', {}, 'studio');
  await act('POST', `/v1/renders/${id}/cancel`, STUDIO, 'first');
  await act('DELETE', `/v1/renders/${id}`, BOSS, 'second');
  await act('POST', '/v1/gpus/7/drain', BOSS, 'third');
  await act('POST', '/v1/gpus/7/drain', STUDIO, 'refused');
  await reconfigure({ auth: { keys: keys.slice(1) }, logging: { audit_log: 'logs/audit.log' } });
  const told = (await lines()).map(({ level: _, time: __, msg: ___, address: ____, ...line }) => line);
  const http = { via: 'http' };
  assert.deepEqual(told, [
    { audit: 'render.cancel', outcome: 'ok', key: 'studio', role: 'render', ...http, request: 'first', render: id },
    { audit: 'render.remove', outcome: 'ok', key: 'boss', role: 'admin', ...http, request: 'second', render: id },
    { audit: 'gpu.drain', outcome: 'gpu_unknown', key: 'boss', role: 'admin', ...http, request: 'third', gpu: 7 },
    { audit: 'keys.remove', outcome: 'ok', via: 'configuration', keys: ['studio'] },
  ]);
});

it('an id that could spoil a log is replaced, and each error names the id of its request', async () => {
  const strange = await act('POST', '/v1/gpus/7/drain', BOSS, 'two words');
  const { request_id } = strange.json() as { request_id: string };
  assert.match(request_id, /^[0-9a-f-]{36}$/);
  assert.equal(strange.headers['x-request-id'], request_id);
});
