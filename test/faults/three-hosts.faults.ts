import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';
import { recordKey } from '../../shared/renders/keys.ts';
import { Bucket } from '../../shared/s3/bucket.ts';
import type { HostView } from '../../shared/views/host-view.ts';
import { SentinelServers } from '../support/redis-servers.ts';
import { startS3 } from '../support/s3-server.ts';
import { buildSmallAvatar } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { HERE } from './mixed-farm.ts';
import { canSeparateNetworks, SeparateHost } from './separate-host.ts';

/**
 * Three hosts that share nothing but Redis, found by Sentinels, and a bucket: one has the front end, the others GPUs and
 * media workers, with numbers that they claim. One of these is cut off in mid-render and comes back with its late writes,
 * one is updated.
 */

const SECONDS = 40;
const SEGMENT_FRAMES = 250;
const REDIS_WITHIN_MS = 10_000;
const NEXT_VERSION = '99.0.0';
const apart = await canSeparateNetworks();
const how = apart
  ? 'network namespaces and users of their own'
  : 'folders of their own: network namespaces cannot be had here';

describe(`three hosts, with ${how}`, () => {
  const end = new AsyncDisposableStack();
  let client: NodeFarmClient;
  let redis: Redis;
  let bucket: Bucket;
  let speech = '';
  let expected = '';
  const hosts = new Map<string, SeparateHost>();
  const workers = new Map<string, ChildProcess[]>();
  const hostOf = (name: string) => hosts.get(name) as SeparateHost;

  before(async () => {
    await buildSmallAvatar();
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-three-hosts-'));
    end.defer(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const servers = end.use(await SentinelServers.start({ replicas: 1, sentinels: 3 }));
    const s3 = await startS3();
    end.defer(() => s3.close());
    const http = await freePort();
    const settings = {
      ...{ redis: servers.ofFarm, http: { port: http }, server: { port: `127.0.0.1:${await freePort()}` } },
      // Kept segments would leave nothing to do.
      storage: { driver: 's3', s3: s3.settings, root: 'disk', segment_cache_gb: 0 },
      render: { segment_frames: SEGMENT_FRAMES },
      onnx: { execution_providers: ['cpu'] },
    };
    const ports = [...servers.servers.map(({ port }) => port), Number(new URL(s3.settings.endpoint).port)];
    for (const name of ['front', 'one', 'two']) {
      const host = await SeparateHost.prepare({ name, folder, ports, settings, apart: name !== 'front' });
      hosts.set(name, end.use(host));
    }
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(SECONDS));
    client = new NodeFarmClient(`http://127.0.0.1:${http}`);
    bucket = new Bucket({ ...s3.settings, prefix: '' });
    redis = workerConnection(servers.ofFarm);
    end.defer(async () => redis.disconnect());
    await waitUntilReady(redis, REDIS_WITHIN_MS);
    await hostOf('front').launch(['api']);
  });
  after(() => end.disposeAsync());

  const startWorkers = async (name: string, root = HERE) => {
    const host = hostOf(name);
    workers.set(name, [
      await host.launch(['worker', '--gpu', 'auto'], root),
      await host.launch(['worker', '--media'], root),
    ]);
  };
  const submit = async () => (await client.submit(speech)).id;
  const videoOf = async (id: string) => {
    assert.equal((await client.finished(id)).status, 'completed');
    const { video, segments } = await client.receipt(id);
    return { sha256: video?.sha256 ?? '', gpus: [...new Set(segments.map(({ gpu }) => gpu))].sort() };
  };
  /** An idle GPU may be quicker than the other one: then it has all of a render. */
  const bothRender = async () => {
    const seen = new Set<number>();
    await until('both GPUs have rendered', async () => {
      const { sha256, gpus } = await videoOf(await submit());
      assert.equal(sha256, expected);
      for (const gpu of gpus) seen.add(gpu);
      return seen.has(0) && seen.has(1);
    });
    assert.deepEqual([...seen].sort(), [0, 1]);
  };
  const viewOf = async (name: string): Promise<HostView | undefined> =>
    (await client.hosts.list()).hosts.find((host) => host.name === name);
  const numbersOf = async (name: string) => (await viewOf(name))?.gpus.map(({ gpu }) => gpu);
  const isAtWork = async (name: string) => {
    const gpu = (await numbersOf(name))?.[0];
    const { gpus } = await client.gpus();
    return gpus.some((view) => view.gpu === gpu && view.backlog.active > 0);
  };
  const objectsOf = async (id: string) => {
    const keys: string[] = [];
    for await (const { key } of bucket.list('')) if (key.includes(id)) keys.push(key);
    return keys.sort();
  };

  it('claim their numbers, and one GPU makes what all others are compared with', async () => {
    await startWorkers('one');
    const { sha256, gpus } = await videoOf(await submit());
    expected = sha256;
    assert.deepEqual(gpus, [0]);
    await startWorkers('two');
    assert.deepEqual([await numbersOf('one'), await numbersOf('two')], [[0], [1]]);
    await bothRender();
  });

  for (const fate of ['kept', 'removed'] as const) {
    it(`lose nothing when one is cut off in mid-render, whose late writes find the render ${fate}`, async (t) => {
      // What it is about to send is a segment: it arrives late.
      const cut = hostOf('one').cutBefore(/^PUT \S+\/segments\//);
      const id = await submit();
      await until('the host is at work on it', () => isAtWork('one'));
      await cut;
      if (!apart) hostOf('one').cut();
      const cutAtMs = performance.now();
      const { sha256 } = await videoOf(id);
      t.diagnostic(
        `figure: a host cut off in mid-render: completed ${Math.round((performance.now() - cutAtMs) / 1000)} s later`,
      );
      assert.equal(sha256, expected);
      await until(
        'what it was made from is removed',
        async () => !/segments|upload|sound|audio|preview/.test((await objectsOf(id)).join()),
      );
      if (fate === 'removed') await client.remove(id);
      const before = await objectsOf(id);
      hostOf('one').heal();
      await backInService('one');
      // All that it had begun has ended by now, one way or the other.
      await until('nothing runs there', async () => (await viewOf('one'))?.running_jobs === 0);
      await until('what came late is gone', async () => (await objectsOf(id)).join() === before.join());
      if (fate === 'kept') {
        const file = path.join(hostOf('front').folder, 'video.mp4');
        await client.saveVideo(id, file);
        assert.equal(await sha256Of(file), expected);
      } else {
        assert.deepEqual(before, []);
        assert.equal(await redis.exists(recordKey(id)), 0);
        await assert.rejects(client.get(id), { code: 'render_unknown' });
      }
      assert.deepEqual(await numbersOf('one'), [0], 'it has its number again');
    });
  }

  it('make the same while one of them is updated to the next version', async () => {
    const next = await nextVersion();
    end.defer(() => rm(next, { recursive: true, force: true }));
    const id = await submit();
    await until('the host is at work on it', () => isAtWork('two'));
    for (const worker of workers.get('two') ?? []) assert.equal(await hostOf('two').end(worker, 'SIGTERM'), 0);
    await startWorkers('two', next);
    assert.equal((await videoOf(id)).sha256, expected);
    const { versions } = await client.hosts.list();
    assert.ok(versions.includes(NEXT_VERSION) && versions.length === 2, versions.join());
    assert.deepEqual(await numbersOf('two'), [1]);
    await bothRender();
  });

  it('name the one whose files of the model are other ones, and render without it', async () => {
    const rects = path.join(hostOf('two').folder, 'models/crop_rects.json');
    await writeFile(rects, `${await readFile(rects, 'utf8')}\n`);
    for (const worker of workers.get('two') ?? []) await hostOf('two').end(worker, 'SIGTERM');
    await startWorkers('two');
    assert.deepEqual(await videoOf(await submit()), { sha256: expected, gpus: [0] });
    // Unless it has tried already: then it is no GPU for the model any more.
    await assert.rejects(client.loadModel('small', 1), /model_files_differ|request_invalid|hash to|that can: 0/);
    const { problems = [] } = (await viewOf('two')) ?? {};
    assert.match(problems.join('\n'), /"small": .*gpu-0/);
    await writeFile(rects, (await readFile(rects, 'utf8')).trimEnd());
    for (const worker of workers.get('two') ?? []) await hostOf('two').end(worker, 'SIGTERM');
    await startWorkers('two');
    await bothRender();
  });

  it('are taken out of service and put back as a whole', async () => {
    const id = await submit();
    await until('the host is at work on it', () => isAtWork('one'));
    await client.hosts.drain('one');
    await until('it is drained', async () => (await viewOf('one'))?.state === 'drained');
    assert.equal((await videoOf(id)).sha256, expected);
    assert.deepEqual(await videoOf(await submit()), { sha256: expected, gpus: [1] });
    await client.hosts.undrain('one');
    await bothRender();
  });

  /** As its supervisor does: a worker that has lost its lease ends. */
  async function backInService(name: string): Promise<void> {
    const [gpu, media] = workers.get(name) ?? [];
    await until(`${name} is back`, async () => {
      const hasEnded = (child?: ChildProcess) => !child || child.exitCode !== null || child.signalCode !== null;
      if (hasEnded(gpu) && hasEnded(media)) {
        await startWorkers(name);
        return true;
      }
      const view = await viewOf(name);
      if (!hasEnded(gpu) && !hasEnded(media))
        return view?.state === 'ready' && view.gpus.some(({ state }) => state === 'ready');
      const left = hasEnded(gpu) ? media : gpu;
      if (left) await hostOf(name).end(left, 'SIGTERM');
      return false;
    });
  }
});

async function sha256Of(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

/** This code under another version, in a folder that every user may read. */
async function nextVersion(): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'farm-next-version-'));
  for (const folder of ['worker', 'shared', 'api', 'proto']) {
    await cp(path.join(HERE, folder), path.join(root, folder), { recursive: true });
  }
  const manifest = JSON.parse(await readFile(path.join(HERE, 'package.json'), 'utf8'));
  await writeFile(path.join(root, 'package.json'), JSON.stringify({ ...manifest, version: NEXT_VERSION }));
  await symlink(path.join(HERE, 'node_modules'), path.join(root, 'node_modules'));
  await chmod(root, 0o755);
  return root;
}
