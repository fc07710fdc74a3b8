import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { stringify } from 'yaml';
import { hashApiKey } from '../../shared/api-keys.ts';
import type { DeliveryTry } from '../../shared/views/webhook-view.ts';
import { WEBHOOK_SECRET } from '../../shared/webhooks/signature.ts';
import { startApi } from '../support/api.ts';
import { runCli } from '../support/run-cli.ts';
import { SAMPLE_PLAN } from '../support/sample-render.ts';
import { until } from '../support/until.ts';
import { inNode, inPython, inShell, missing, printed, snippet } from './snippets.ts';

const SECRETS = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
const KEYS = { boss: 'the-long-key-of-the-operator', ann: 'the-long-key-of-ann-alone' };
const SETTINGS = {
  webhooks: { secrets: SECRETS, allowed_addresses: ['127.0.0.1'], first_wait_seconds: 1, attempts: 3 },
  auth: {
    keys: Object.entries(KEYS).map(([name, key]) => ({
      name,
      sha256: hashApiKey(key),
      role: name === 'boss' ? 'operate' : 'render',
    })),
  },
};
/** In the documentation, and why one of them cannot be run here. */
const PROGRAMS = [
  ['Node', inNode, undefined],
  ['Python', inPython, await missing('python3', '--version')],
  ['a shell', inShell, await missing('openssl', 'version')],
] as const;
/** Longer than the farm waits by itself before the second try. */
const ASKED_WAIT_S = 2;
const api = await startApi(SETTINGS);
/** Of its HTTP API, once somebody has asked for it. */
let url = '';

interface Message {
  readonly atMs: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
const messages: Message[] = [];
let answer: (path: string, times: number) => number | undefined = () => 204;
const receiver = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  const { url = '', headers } = request;
  messages.push({ atMs: performance.now(), path: url, headers, body });
  const status = answer(url, messages.filter(({ path: other }) => other === url).length);
  const more = { 302: { location: '/elsewhere' }, 503: { 'retry-after': String(ASKED_WAIT_S) } }[status ?? 0];
  if (status !== undefined) response.writeHead(status, more).end();
}).listen(0, '127.0.0.1');
await once(receiver, 'listening');
const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;

await mkdir(path.join(api.services.config.storageRoot, 'renders'), { recursive: true });
const configPath = path.join(api.services.config.storageRoot, '..', 'worker.yaml');
await writeFile(
  configPath,
  stringify({ ...SETTINGS, redis: { url: api.services.config.redis.url }, storage: { root: 'data' } }),
);
const workers = new Set<ReturnType<typeof startWorker>>();
function startWorker() {
  const entry = path.resolve('worker/main.ts');
  const child = spawn(process.execPath, [entry, '--media'], {
    env: { ...process.env, FARM_CONFIG: configPath },
    stdio: 'ignore',
  });
  workers.add(child);
  return child;
}
after(async () => {
  for (const child of workers) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  receiver.closeAllConnections();
  receiver.close();
});

async function ask(method: 'GET' | 'POST', url: string, key = KEYS.boss, payload?: object) {
  return await api.app.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(payload ? { payload } : {}),
  });
}
async function tries(query: string, key = KEYS.boss): Promise<DeliveryTry[]> {
  return (await ask('GET', `/v1/webhooks/deliveries?${query}`, key)).json().deliveries;
}
const to = (at: string) => messages.filter(({ path: other }) => other === at);
const webhookOf = (at: string) => ({ webhook: { url: `${hook}${at}`, events: ['render.completed'] } });

describe('webhooks', () => {
  it('are refused where they lead to addresses of the farm', async () => {
    for (const url of ['http://10.0.0.1/', 'http://[::1]/', 'http://169.254.169.254/latest']) {
      const { statusCode, body } = await ask('POST', '/v1/webhooks/test', KEYS.ann, { url });
      assert.deepEqual([statusCode, JSON.parse(body).error.code], [422, 'address_refused'], url);
    }
  });

  it('get a message for the end of a render, that each of the secrets proves', async () => {
    startWorker();
    const id = await api.renderIn('completed', webhookOf('/plain'));
    await until('it has come', () => to('/plain').length === 1);
    const [{ headers, body }] = to('/plain') as [Message];
    for (const secret of SECRETS) {
      const event = new Webhook(secret).verify(body, headers as Record<string, string>) as {
        type: string;
        data: { id: string };
      };
      assert.deepEqual([event.type, event.data.id], ['render.completed', id]);
    }
    assert.throws(() => new Webhook(SECRETS[0] ?? '').verify(`${body} `, headers as Record<string, string>));
    await until('it is in the log', async () => (await tries(`render=${id}`)).length === 1);
    const [logged] = await tries(`render=${id}`);
    assert.deepEqual([logged?.outcome, logged?.status, logged?.id], ['delivered', 204, headers['webhook-id']]);
    assert.deepEqual(await tries(`render=${id}`, KEYS.ann), []);
  });

  for (const [name, check, why] of PROGRAMS) {
    it(`are proved by the program for ${name} in the documentation`, { skip: why }, async () => {
      const [message] = to('/plain') as [Message];
      const other = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
      const answers = [
        ...[await check(SECRETS[0] ?? '', message), await check(SECRETS[1] ?? '', message)],
        ...[await check(other, message), await check(SECRETS[0] ?? '', { ...message, body: `${message.body} ` })],
      ];
      assert.deepEqual(answers, [true, true, false, false]);
    });
  }

  it('are tried with curl as the documentation has it, with a secret as it makes one', async () => {
    const made = /`(echo whsec_[^`]*)`/.exec(await readFile('docs/webhooks.md', 'utf8'))?.[1] ?? '';
    assert.match(await printed(['sh', '-c', made]), WEBHOOK_SECRET);
    url = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const commands = snippet('sh', 'curl')
      .replaceAll('curl ', `curl -sS --fail-with-body -H 'authorization: Bearer ${KEYS.boss}' `)
      .replaceAll('http://127.0.0.1:8080', url)
      .replaceAll('https://example.com/renders', `${hook}/curl`);
    const [first = ''] = (await printed(['sh', '-ec', commands])).split('}{');
    const id = /"id":"([^"]+)"/.exec(first)?.[1];
    await until('it has come', () => to('/curl').length === 1);
    assert.equal(to('/curl')[0]?.headers['webhook-id'], id);
  });

  it('are tried, listed and told apart by the farm command', async () => {
    answer = (at) => (at === '/away' ? 500 : 204);
    const farm = (...args: string[]) => runCli('webhooks', ...args, '--url', url, '--api-key', KEYS.boss);
    const [taken, refused] = [farm('test', `${hook}/command`, '--json'), farm('test', `${hook}/away`)];
    assert.equal(await taken.exited, 0, taken.output());
    const { id, outcome } = JSON.parse(/^\{[\s\S]*^\}/m.exec(taken.output())?.[0] ?? '');
    assert.deepEqual([outcome, to('/command')[0]?.headers['webhook-id']], ['delivered', id]);
    assert.equal(await refused.exited, 1);
    assert.match(refused.output(), /\/away: given up: 500 in \d+ ms/);
    const [list, secrets] = [farm('--limit', '3'), farm('secrets')];
    assert.deepEqual([await list.exited, await secrets.exited], [0, 0], list.output());
    assert.match(list.output(), /^AT {2,}EVENT .*\n.* 1 +(delivered: 204|given up: 500) in/);
    assert.deepEqual(secrets.output().split('\n'), SECRETS);
    answer = () => 204;
  });

  it('of a key are signed by a secret of its own, which it can ask for', async () => {
    const { id } = (await ask('POST', '/v1/webhooks/test', KEYS.ann, { url: `${hook}/anns?token=x` })).json();
    await until('it has come', () => to('/anns?token=x').length === 1);
    const [{ headers, body }] = to('/anns?token=x') as [Message];
    const { secrets } = (await ask('GET', '/v1/webhooks/secrets', KEYS.ann)).json();
    for (const secret of secrets) new Webhook(secret).verify(body, headers as Record<string, string>);
    assert.throws(() => new Webhook(SECRETS[0] ?? '').verify(body, headers as Record<string, string>));
    await until('it is in the log', async () => (await tries(`id=${id}`, KEYS.ann)).length === 1);
    assert.equal((await tries(`id=${id}`, KEYS.ann))[0]?.url, `${hook}/anns`);
  });

  it('are tried again with the same id and body, when the receiver wants it; redirects are not followed', async () => {
    answer = (at, times) =>
      ({ '/again': times < 2 ? 500 : 200, '/busy': times < 2 ? 503 : 200, '/away': 302 })[at] ?? 204;
    const [again, busy, away] = await Promise.all(
      ['/again', '/busy', '/away'].map((at) => api.renderIn('completed', webhookOf(at))),
    );
    const outcomes = async (id = '') => (await tries(`render=${id}`)).map(({ outcome }) => outcome);
    const ended = async () => [await outcomes(again), await outcomes(busy), await outcomes(away)].flat().length === 7;
    await until('all have ended', ended);
    assert.deepEqual(await outcomes(again), ['delivered', 'failed']);
    assert.deepEqual(await outcomes(busy), ['delivered', 'failed']);
    const [turnedAway, welcome] = to('/busy');
    assert.ok((welcome?.atMs ?? 0) - (turnedAway?.atMs ?? 0) >= ASKED_WAIT_S * 1000 - 50);
    assert.match((await tries(`render=${busy}`))[1]?.reason ?? '', /status 503, and asked to wait 2 s/);
    assert.deepEqual(await outcomes(away), ['given_up', 'failed', 'failed']);
    const [first, second] = to('/again');
    assert.deepEqual([first?.headers['webhook-id'], first?.body], [second?.headers['webhook-id'], second?.body]);
    assert.equal(to('/elsewhere').length, 0);
  });

  it('end, of one render to one address, with 410', async () => {
    answer = () => 410;
    const events = ['render.queued', 'render.completed'];
    const id = await api.renderIn('queued', { webhook: { url: `${hook}/gone`, events } });
    await until('it has refused', async () => (await tries(`render=${id}`)).length === 1);
    await api.store.startPreparing(id);
    await api.store.startRendering(id, SAMPLE_PLAN);
    await api.store.startStitching(id);
    await api.store.complete(id);
    await until('the other message has ended', async () => (await tries(`render=${id}`)).length === 2);
    const [second, first] = await tries(`render=${id}`);
    assert.deepEqual([first?.outcome, first?.status, second?.outcome, second?.status], ['gone', 410, 'gone', null]);
    assert.match(second?.reason ?? '', /has answered 410 about this render/);
    assert.equal(to('/gone').length, 1);
    const other = await api.renderIn('completed', webhookOf('/gone'));
    await until('another render is told of', async () => (await tries(`render=${other}`)).length === 1);
    assert.equal((await tries(`render=${other}`))[0]?.status, 410);
  });

  it('get what a worker was killed over', async () => {
    answer = (_at, times) => (times === 1 ? undefined : 204);
    const id = await api.renderIn('completed', webhookOf('/killed'));
    await until('a try is under way', () => to('/killed').length === 1);
    for (const child of workers) child.kill('SIGKILL');
    startWorker();
    await until('it has come again', async () =>
      (await tries(`render=${id}`)).some(({ outcome }) => outcome === 'delivered'),
    );
    assert.equal(to('/killed')[0]?.headers['webhook-id'], to('/killed')[1]?.headers['webhook-id']);
  });
});
