import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { parse, stringify } from 'yaml';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import type { SubmitOptions } from '../../client/requests.ts';
import { MONOLITHIC, TestClient } from '../grpc/clients.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import { type CliRun, livingFamily, runCli } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** A value of config.yaml: sections by name, keys in them. */
export type Settings = Record<string, Record<string, unknown> | string>;

export interface Hosts {
  readonly http?: string;
  readonly grpc?: string;
  readonly apiKey?: string;
}

const SAMPLE_BYTES = 4;
const SAMPLES_A_FRAME = 640;
/** `farm up` writes nothing that is not of this form once it is up. */
const PROCESSES = 3;

/** A farm as its user starts it: a folder, a config.yaml in it, `farm up`. */
export class KeyFarm {
  readonly folder: string;
  readonly httpPort: number;
  readonly grpcAddress: string;
  readonly url: string;
  readonly client: NodeFarmClient;
  /** How its gRPC client connects, unless it is without TLS. */
  credentials: ChannelCredentials | undefined;
  /** What the farm needs beside itself; disposed of once it has ended. */
  readonly others = new AsyncDisposableStack();
  /** Keys that its file has had, with `demo` for the id of a model. */
  readonly keysSet = new Set<string>();
  #run: CliRun | undefined;
  #grpc: TestClient | undefined;

  private constructor(folder: string, [httpPort, grpcPort]: readonly [number, number], hosts: Hosts) {
    this.folder = folder;
    this.httpPort = httpPort;
    this.url = `http://${hosts.http ?? '127.0.0.1'}:${httpPort}`;
    this.grpcAddress = `${hosts.grpc ?? '127.0.0.1'}:${grpcPort}`;
    this.client = new NodeFarmClient(this.url, hosts.apiKey);
  }

  /** A folder for a farm that is not started yet, and the ports that it will have. */
  static async prepare(hosts: Hosts = {}): Promise<KeyFarm> {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-keys-'));
    return new KeyFarm(folder, [await freePort(), await freePort()], hosts);
  }

  /** Writes config.yaml, with the ports of this farm, and starts it. */
  async up(settings: Settings): Promise<void> {
    await this.configure(settings);
    this.#run = runCli('up', '--config', this.configPath);
    await this.#run.until(/The farm is up/);
  }

  get grpc(): TestClient {
    this.#grpc ??= new TestClient(this.grpcAddress, this.credentials);
    return this.#grpc;
  }

  get configPath(): string {
    return path.join(this.folder, 'config.yaml');
  }

  /** All that `farm up` has printed, line by line. */
  get output(): string[] {
    return this.#run?.output().split('\n') ?? [];
  }

  async configure(settings: Settings): Promise<void> {
    const ports = {
      http: { port: this.httpPort },
      server: { port: this.grpcAddress },
      // What is rendered a second time is to be rendered.
      storage: { segment_cache_gb: 0 },
    };
    const merged = Object.fromEntries(
      Object.entries({ ...ports, ...settings }).map(([name, section]) =>
        typeof section === 'string' ? [name, section] : [name, { ...ports[name as keyof typeof ports], ...section }],
      ),
    );
    for (const key of keysOf(merged)) this.keysSet.add(key);
    await writeFile(`${this.configPath}.new`, stringify(merged));
    await rename(`${this.configPath}.new`, this.configPath);
  }

  /** Lays settings over those of the file, and waits until every process has read them. */
  async reload(changes: Settings): Promise<void> {
    const reloads = () => this.output.filter((line) => line.includes('configuration reloaded')).length;
    const before = reloads();
    await this.configure({ ...(parse(await readFile(this.configPath, 'utf8')) as Settings), ...changes });
    await until('all processes have read the configuration', () => reloads() === before + PROCESSES);
  }

  /** Asks for frames over gRPC, with silence for a sound; the answer may be a refusal. */
  async infer(model_id: string, request: { start?: number; count?: number; key?: string } = {}) {
    const { start = 0, count = 1, ...settings } = request;
    const raw_audio = Buffer.alloc(count * SAMPLES_A_FRAME * SAMPLE_BYTES);
    const message = { model_id, batch_size: count, start_frame_idx: start, raw_audio, sample_rate: 16_000 };
    return await this.grpc.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', message, settings);
  }

  /** The frames; throws what the farm says instead. */
  async frames(modelId: string, request: Parameters<KeyFarm['infer']>[1] = {}): Promise<readonly Buffer[]> {
    const { success, error, composited_frames } = await this.infer(modelId, request);
    if (!success) throw new Error(error);
    return composited_frames;
  }

  /** Does something while these GPUs take no work; they do again when this resolves. */
  async withoutGpus<T>(gpuIds: readonly number[], work: () => Promise<T>): Promise<T> {
    return await whileDrained(this, gpuIds, work);
  }

  /** Speech of this length as a file. */
  async speech(seconds: number): Promise<string> {
    const file = path.join(this.folder, `speech-${seconds}.wav`);
    await writeWav(file, syllables(seconds));
    return file;
  }

  /** A whole render; returns its receipt. Frames are the default: a video costs several runs of ffmpeg more. */
  async render(modelId: string, seconds: number, options: SubmitOptions = {}) {
    const request = { modelId, output: 'frames', cache: false, ...options } as const;
    const { id } = await this.client.submit(await this.speech(seconds), request);
    await this.client.finished(id);
    return await this.client.receipt(id);
  }

  /** Ends the farm as Ctrl-C does; all it has to say is in `output` then. */
  async stop(): Promise<void> {
    const { child, exited } = this.#run ?? {};
    if (child?.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#grpc?.close();
    await this.stop();
    await this.others.disposeAsync();
    await rm(this.folder, { recursive: true, force: true });
    const left = this.#run ? await livingFamily(this.#run.family) : [];
    if (left.length > 0) throw new Error(`Processes ${left.join(', ')} have outlived their farm`);
  }
}

/** Dotted names of the keys in a configuration, with `demo` for the id of a model. */
export function keysOf(settings: Settings): string[] {
  const walk = (value: unknown, at: readonly string[]): string[] => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [at.join('.')];
    return Object.entries(value).flatMap(([key, inner]) => walk(inner, [...at, key]));
  };
  return walk(settings, []).map((key) => key.replace(/^models\.[^.]+\./, 'models.demo.'));
}

/** Runs `farm …` beside the farm and returns what it printed. */
export async function farmSays(...args: string[]): Promise<string> {
  const { exited, output } = runCli(...args);
  await exited;
  return output();
}
