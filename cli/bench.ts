import { randomUUID } from 'node:crypto';
import type { NodeFarmClient } from '../client/node/farm-client.ts';
import { exitCodeOf, onEndRequest } from '../shared/process/end-requests.ts';
import { isTerminal } from '../shared/renders/record.ts';
import type { RenderView } from '../shared/views/render-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import { table } from './table.ts';
import { testSpeech } from './test-speech.ts';

export interface BenchOptions extends FarmOptions {
  readonly model?: string;
  /** Of sound in each render. */
  readonly seconds: number;
  /** Renders that are measured one after the other, and then all at once. */
  readonly renders: number;
  readonly json?: boolean;
}

interface Measured {
  readonly renders: number;
  readonly frames: number;
  /** From the first submission until the last render had ended. */
  readonly wall_ms: number;
  readonly frames_per_second: number;
  /** How much faster than the sound is played. */
  readonly times_real_time: number;
}

/**
 * `farm bench`: how fast a running farm renders, as its client sees it: one render to warm up, some one after the other,
 * then as many at once. They are removed at the end. The farm may have other work, and then says less of itself.
 */
export async function bench(options: BenchOptions): Promise<void> {
  const client = openFarm(options);
  await client.greet();
  const renders = new BenchRenders(client, options);
  const stopListening = onEndRequest({
    first: (reason) => {
      process.exitCode = exitCodeOf(reason === 'SIGTERM' ? 'SIGTERM' : 'SIGINT');
      renders.stop();
    },
    again: (signal) => process.exit(exitCodeOf(signal)),
  });
  const say = (text: string) => options.json || process.stderr.write(`${text}\n`);
  try {
    say(`Rendering ${options.seconds} s of sound ${2 * options.renders + 1} times at ${client.url}; Ctrl-C ends it.`);
    await renders.measure(1, 1);
    const results = {
      one_by_one: await renders.measure(options.renders, 1),
      at_once: await renders.measure(options.renders, options.renders),
    };
    if (options.json) printJson({ url: client.url, audio_seconds: options.seconds, ...results });
    else process.stdout.write(`${describe(results)}\n`);
  } catch (error) {
    if (!renders.isStopped) throw error;
  } finally {
    stopListening();
    await renders.removeAll();
  }
}

/** The renders of one measurement; no other is touched. */
class BenchRenders {
  readonly #client: NodeFarmClient;
  readonly #options: BenchOptions;
  readonly #sound: Uint8Array<ArrayBuffer>;
  readonly #stop = new AbortController();
  readonly #ids: string[] = [];

  constructor(client: NodeFarmClient, options: BenchOptions) {
    this.#client = client;
    this.#options = options;
    this.#sound = testSpeech(options.seconds);
  }

  get isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  stop(): void {
    this.#stop.abort();
  }

  async measure(count: number, atOnce: number): Promise<Measured> {
    const beganMs = performance.now();
    let left = count;
    let frames = 0;
    let shownS = 0;
    const line = async () => {
      while (left-- > 0) {
        const view = await this.#one();
        frames += view.frames.done;
        shownS += view.frames.done / view.fps;
      }
    };
    // All have ended, also when one fails: what they have submitted is known then, and can be removed.
    const ends = await Promise.allSettled(Array.from({ length: atOnce }, line));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    const wallMs = performance.now() - beganMs;
    const speed = (frames * 1000) / wallMs;
    return {
      renders: count,
      frames,
      wall_ms: wallMs,
      frames_per_second: speed,
      times_real_time: (shownS * 1000) / wallMs,
    };
  }

  /** A render that fails is thrown as its error. */
  async #one(): Promise<RenderView> {
    this.#stop.signal.throwIfAborted();
    const { model } = this.#options;
    const request = { ...(model ? { modelId: model } : {}), fileName: 'farm-bench.wav', idempotencyKey: randomUUID() };
    const { id } = await this.#client.submit(this.#sound, request);
    this.#ids.push(id);
    for await (const { status } of this.#client.watch(id, { forMs: 0, signal: this.#stop.signal })) {
      if (isTerminal(status)) break;
    }
    return await this.#client.finished(id);
  }

  async removeAll(): Promise<void> {
    for (const id of this.#ids) {
      const { status } = await this.#client.cancel(id);
      if (isTerminal(status)) await this.#client.remove(id);
    }
  }
}

function describe(results: { readonly one_by_one: Measured; readonly at_once: Measured }): string {
  const row = (name: string, { renders, frames, wall_ms, frames_per_second, times_real_time }: Measured) => [
    name,
    String(renders),
    String(frames),
    `${(wall_ms / 1000).toFixed(2)} s`,
    `${(wall_ms / renders / 1000).toFixed(2)} s`,
    frames_per_second.toFixed(1),
    `${times_real_time.toFixed(2)}×`,
  ];
  return table([
    ['', 'RENDERS', 'FRAMES', 'TOGETHER', 'EACH', 'FRAMES/S', 'REAL TIME'],
    row('one by one', results.one_by_one),
    row('at once', results.at_once),
  ]);
}
