import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { freePort, PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { MONOLITHIC, TestClient } from '../grpc/clients.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** A farm whose processes differ: in the clock that they see, or in the version of the code that they run. */

export const HERE = path.join(import.meta.dirname, '../..');
const LIVE_FRAMES = 8;

export interface ProcessOfFarm {
  readonly args: readonly ['api'] | readonly ['worker', ...string[]];
  /** Root of the checkout that it runs from; this one by default. */
  readonly root?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

export class MixedFarm implements AsyncDisposable {
  readonly client: NodeFarmClient;
  readonly folder: string;
  readonly grpc: TestClient;
  readonly #redis: PrivateRedis;
  readonly #children: ChildProcess[] = [];

  private constructor(folder: string, redis: PrivateRedis, [http, grpc]: readonly [number, number]) {
    this.folder = folder;
    this.#redis = redis;
    this.client = new NodeFarmClient(`http://127.0.0.1:${http}`);
    this.grpc = new TestClient(`127.0.0.1:${grpc}`);
  }

  /** Starts Redis and the processes, one after the other. */
  static async start(...processes: readonly ProcessOfFarm[]): Promise<MixedFarm> {
    return await MixedFarm.startWith({}, ...processes);
  }

  /** The same with other settings, which are laid over those of these tests. */
  static async startWith(more: Record<string, object>, ...processes: readonly ProcessOfFarm[]): Promise<MixedFarm> {
    await buildSmallAvatar();
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-mixed-'));
    const redis = await PrivateRedis.start(path.join(folder, 'redis'));
    const ports = [await freePort(), await freePort()] as const;
    const settings = {
      models: { small: SMALL_MODEL },
      http: { port: ports[0] },
      server: { port: `127.0.0.1:${ports[1]}` },
      redis: { url: redis.url },
      storage: { root: 'data' },
      render: { segment_frames: 25 },
      ...more,
    };
    await writeFile(path.join(folder, 'config.yaml'), stringify(settings));
    await writeWav(path.join(folder, 'speech.wav'), syllables(6));
    const farm = new MixedFarm(folder, redis, ports);
    for (const each of processes) {
      await farm.launch(each).catch(async (error: unknown) => {
        await farm[Symbol.asyncDispose]();
        throw error;
      });
    }
    return farm;
  }

  get redisUrl(): string {
    return this.#redis.url;
  }

  /** Hash of the video that comes of the test's sound. */
  async video(): Promise<string> {
    const { id } = await this.client.submit(path.join(this.folder, 'speech.wav'));
    await this.client.finished(id);
    return (await this.client.receipt(id)).video?.sha256 ?? '';
  }

  /** Frames of a live request, one after the other as text. */
  async frames(): Promise<string[]> {
    const raw_audio = Buffer.alloc(LIVE_FRAMES * 640 * 4, 7);
    const message = { model_id: 'small', batch_size: LIVE_FRAMES, raw_audio, sample_rate: 16_000 };
    const answer = await this.grpc.unary<{ success: boolean; error: string; composited_frames: Buffer[] }>(
      MONOLITHIC,
      'InferBatchComposite',
      message,
    );
    if (!answer.success) throw new Error(answer.error);
    return answer.composited_frames.map((frame) => frame.toString('base64'));
  }

  /** Starts one more process, and resolves when it is ready. */
  async launch({ args: [entry, ...args], root = HERE, environment = {} }: ProcessOfFarm): Promise<ChildProcess> {
    const child = spawn(process.execPath, [path.join(root, entry, 'main.ts'), ...args], {
      env: {
        ...{ ...process.env, FARM_CONFIG: path.join(this.folder, 'config.yaml') },
        // What is rendered again is to be rendered; versions of before know no such key.
        ...(root === HERE ? { FARM_STORAGE__SEGMENT_CACHE_GB: '0' } : {}),
        ...environment,
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#children.push(child);
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += String(text);
    });
    const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${entry} ended: ${said}`)));
    ended.catch(() => {}); // Its end is a failure only until it has started.
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: { type: string }) => {
        if (message.type === 'ready') resolve();
        if (message.type === 'failed') reject(new Error(`${entry} did not start: ${said} ${JSON.stringify(message)}`));
      });
    });
    await Promise.race([ready, ended]);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.grpc.close();
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    await this.#redis.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * The code of an earlier commit, in a folder of its own; undefined where the history is not there. Remove the folder when
 * it is not needed any more.
 */
export async function checkOut(commit: string): Promise<string | undefined> {
  const run = promisify(execFile);
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-version-'));
  try {
    await run('git', ['-C', HERE, 'archive', '--format=tar', '-o', path.join(folder, 'code.tar'), commit]);
    await mkdir(path.join(folder, 'code'));
    await run('tar', ['-xf', path.join(folder, 'code.tar'), '-C', path.join(folder, 'code')]);
    await symlink(path.join(HERE, 'node_modules'), path.join(folder, 'code/node_modules'));
    return path.join(folder, 'code');
  } catch {
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }
}
