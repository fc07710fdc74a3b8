import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EVENTS_MISSED, FarmClient, type FollowedEvent, patiently } from '../../client/index.ts';
import { packClient } from '../../scripts/pack-client.ts';
import { startApi } from '../support/api.ts';
import { SAMPLE_PLAN } from '../support/sample-render.ts';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const SOUND = new Blob([new Uint8Array(4000).fill(7)]);

const api = await startApi();
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
const client = new FarmClient(url);

async function finish(id: string): Promise<void> {
  await api.store.startPreparing(id);
  await api.store.startRendering(id, SAMPLE_PLAN);
  await api.store.startStitching(id);
  await api.store.complete(id);
}

describe('the client', () => {
  it('sends all fields of a render, from bytes and from a Blob, and finds it by each filter', async () => {
    const since = new Date();
    const first = await client.submit(SOUND, {
      labels: { project: 'a b&c', take: '1' },
      priority: 'high',
      from: 25,
      to: 50,
      fileName: 'line.wav',
      output: 'frames',
    });
    assert.deepEqual(first.labels, { project: 'a b&c', take: '1' });
    assert.deepEqual(first.range, { from: 25, to: 50 });
    assert.equal(first.priority, 'high');
    assert.equal(first.file_name, 'line.wav');
    assert.equal(first.output, 'frames');
    const second = await client.submit(new Uint8Array(2000), { idempotencyKey: 'k' });
    assert.equal((await client.submit(new Uint8Array(2000), { idempotencyKey: 'k' })).id, second.id);

    const ids = async (filter: Parameters<FarmClient['renders']>[0]) => {
      const found: string[] = [];
      for await (const { id } of client.renders(filter, 1)) found.push(id);
      return found;
    };
    assert.deepEqual(await ids({}), [second.id, first.id]);
    assert.deepEqual(await ids({ labels: { project: 'a b&c', take: '1' } }), [first.id]);
    assert.deepEqual(await ids({ status: 'failed' }), []);
    assert.deepEqual(await ids({ search: 'LINE a b&c' }), [first.id]);
    assert.deepEqual(await ids({ modelId: 'demo', createdFrom: since }), [second.id, first.id]);
    assert.deepEqual(await ids({ createdTo: since }), []);
    await assert.rejects(client.list(1, { createdTo: new Date(Number.NaN) }), { code: 'request_invalid' });
  });

  it('sends a batch, of which each sound is taken or refused by itself', async () => {
    const items = [
      { audio: SOUND, options: { labels: { line: '1' }, fileName: 'one.wav' } },
      { audio: new Uint8Array(0) },
      { audio: SOUND, options: { to: 5 } },
    ];
    const batch = await client.submitBatch(items, { labels: { of: 'all' }, priority: 'low' });
    assert.deepEqual([batch.taken, batch.refused], [2, 1]);
    const [first, second, third] = batch.items;
    assert.deepEqual([first?.render?.labels, first?.file_name], [{ line: '1' }, 'one.wav']);
    assert.equal(second?.error?.code, 'audio_empty');
    assert.deepEqual([third?.render?.labels, third?.render?.priority], [{ of: 'all' }, 'low']);
    assert.deepEqual(third?.render?.range, { from: 0, to: 5 });
    assert.deepEqual(await client.deliveries(first?.render?.id), []);
  });

  it('hands on what the farm refuses, with its code', async () => {
    await assert.rejects(client.submit(new URL('http://127.0.0.1:1/x.wav')), { code: 'address_refused' });
    await assert.rejects(client.picture('r0mwsm4v4r-d376f0928d', 'waveform'), { code: 'render_unknown' });
    const estimate = await client.estimate({ audioSeconds: 2, from: 10 });
    assert.equal(estimate.frames, 40);
    assert.equal(estimate.gpu_seconds, null);
  });

  it('follows the events of a render to its end, and goes on behind the one that it is told', async () => {
    const { id } = await client.submit(SOUND);
    await finish(id);
    const events: FollowedEvent[] = [];
    for await (const event of client.eventsOf(id)) events.push(event);
    assert.equal(events[0]?.type, 'render.queued');
    assert.equal(events.at(-1)?.type, 'render.completed');
    const second = events[1];
    assert.ok(second && second.type !== EVENTS_MISSED);
    const rest: FollowedEvent[] = [];
    for await (const event of client.eventsOf(id, { lastEventId: second.id })) rest.push(event);
    assert.deepEqual(rest, events.slice(2));
  });

  it('follows all renders until its signal ends that, also over a front end that starts again', async () => {
    const stop = new AbortController();
    const types: string[] = [];
    const following = (async () => {
      for await (const event of client.events({ signal: stop.signal })) types.push(event.type);
    })();
    following.catch(() => {});
    const appears = async () => {
      const before = types.length;
      await until('an event of a new render', async () => {
        await patiently(() => client.submit(SOUND), { forMs: 5000 });
        return types.length > before;
      });
    };
    await appears();
    api.app.server.closeAllConnections();
    await appears();
    stop.abort(new Error('enough'));
    await assert.rejects(following, /enough/);
    assert.ok(types.every((type) => type === 'render.queued'));
  });
});

describe('the packed client', () => {
  it('runs and has types in a project that has nothing else but zod', async () => {
    const project = await mkdtemp(path.join(tmpdir(), 'farm-test-packed-'));
    after(() => rm(project, { recursive: true, force: true }));
    const packed = packClient(project);
    const modules = path.join(project, 'node_modules');
    await mkdir(path.join(modules, 'lipsync-farm-client'), { recursive: true });
    await run('tar', ['xzf', packed, '-C', path.join(modules, 'lipsync-farm-client'), '--strip-components=1']);
    // What `npm install` would fetch.
    await symlink(path.join(ROOT, 'node_modules/zod'), path.join(modules, 'zod'));
    await writeFile(path.join(project, 'package.json'), '{"type":"module"}');

    // Every example of the documentation compiles.
    const examples = [...readFileSync(path.join(ROOT, 'docs/client.md'), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)];
    assert.ok(examples.length >= 5);
    const names = await Promise.all(
      examples.map(async ([, text = ''], index) => {
        const name = `example-${index}.ts`;
        await writeFile(path.join(project, name), text);
        return name;
      }),
    );
    const typeRoots = path.join(ROOT, 'node_modules/@types');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,dom'];
    await run(
      path.join(ROOT, 'node_modules/.bin/tsc'),
      [...options, '--typeRoots', typeRoots, '--types', 'node', ...names],
      { cwd: project },
    ).catch((error: { stdout?: string }) => assert.fail(error.stdout));

    await writeFile(
      path.join(project, 'main.js'),
      `import { NodeFarmClient } from 'lipsync-farm-client/node';
       import { FarmClient, FarmError } from 'lipsync-farm-client';
       const { id } = await new NodeFarmClient(process.argv[2]).submit('package.json', { labels: { from: 'packed' } });
       const error = await new FarmClient(process.argv[2]).get('nothing').catch((error) => error);
       console.log(JSON.stringify({ id, isFarmError: error instanceof FarmError, code: error.code }));`,
    );
    const { stdout } = await run(process.execPath, ['main.js', url], { cwd: project });
    const { id, ...rest } = JSON.parse(stdout);
    assert.deepEqual(rest, { isFarmError: true, code: 'request_invalid' });
    assert.deepEqual((await client.get(id)).labels, { from: 'packed' });
    assert.equal((await client.get(id)).file_name, 'package.json');
  });
});
