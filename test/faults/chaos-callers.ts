import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { patiently } from '../../client/patience.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import { isTerminal, type RenderStatus } from '../../shared/renders/record.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { CutFarm } from '../support/cut-farm.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** Callers who render all the time, and hold the farm to every answer that it gives. */

interface Request {
  readonly name: string;
  readonly speech: string;
  readonly output: 'mp4' | 'frames';
  readonly startFrame: number;
}

/** How a render ended, as its caller knows it. */
export interface Ended {
  readonly id: string;
  readonly request: Request;
  readonly status: RenderStatus | 'removed';
}

const KINDS: readonly [seconds: number, output: 'mp4' | 'frames', startFrame: number][] = [
  [0.5, 'mp4', 0],
  [1.5, 'frames', 3],
  [4, 'mp4', 2],
  [9, 'frames', 0],
  [20, 'mp4', 5],
];
const PATIENCE_MS = 180_000;
const PAUSE_MS = 150;
const CANCEL_SHARE = 0.25;
const REMOVE_SHARE = 0.2;
/** After a plain refusal a caller goes away as often as not. */
const GO_AWAY_SHARE = 0.5;
/** Of a worker that was killed three times with the same segment. Everything else that fails is a fault of the farm. */
const MAY_FAIL_WITH = 'worker_lost';

/** Nobody knows whether the request was taken. */
const UNKNOWN = ['outcome_unknown', 'farm_unreachable'];

export class ChaosCallers {
  readonly #farm: CutFarm;
  readonly #root: string;
  readonly #random: () => number;
  readonly #requests: Request[] = [];
  readonly #expected = new Map<string, string>();
  readonly ended: Ended[] = [];
  /** Idempotency keys of requests that were refused, and not asked again. */
  readonly refusedKeys: string[] = [];
  /** Every answer that was no success, by its code. */
  readonly answers = new Map<string, number>();
  /** What should not have happened. */
  readonly wrong: string[] = [];
  retried = 0;
  #keys = 0;

  /** @param root `storage.root`. */
  constructor(farm: CutFarm, root: string, random: () => number) {
    this.#farm = farm;
    this.#root = root;
    this.#random = random;
  }

  /** Renders each kind once in peace. */
  async learn(): Promise<void> {
    for (const [seconds, output, startFrame] of KINDS) {
      const speech = path.join(this.#farm.folder, `${seconds}.wav`);
      await writeWav(speech, syllables(seconds));
      const request = { name: `${seconds} s ${output}`, speech, output, startFrame };
      this.#requests.push(request);
      const { id } = await this.#farm.client.finished((await this.#post(request, request.name)).id);
      this.#expected.set(request.name, await this.#digest(id));
      this.ended.push({ id, request, status: 'completed' });
    }
  }

  /** One caller, until told to stop; then the render in hand is awaited. */
  async call(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.#one();
      await delay(this.#random() * PAUSE_MS);
    }
  }

  /** Looks at the files of everything that has ended. */
  async check(): Promise<void> {
    for (const { id, request, status } of this.ended) {
      const files = await this.#filesOf(id);
      if (status === 'completed') {
        const view = await this.#insist(() => this.#farm.client.get(id));
        if (view.status !== 'completed') this.wrong.push(`${id} was completed, and is ${view.status}`);
        if ((await this.#digest(id)) !== this.#expected.get(request.name))
          this.wrong.push(`${id} (${request.name}) differs: ${files.slice(0, 5).join(', ')} …`);
      } else if (files.some((file) => !path.basename(file).startsWith('.'))) {
        this.wrong.push(`${id} (${request.name}) is ${status} and has files: ${files.slice(0, 5).join(', ')} …`);
      }
    }
  }

  async #one(): Promise<void> {
    // Short ones more often, so that many requests meet a fault.
    const request = this.#requests[Math.floor(this.#random() ** 2 * this.#requests.length)] as Request;
    const id = await this.#submit(request);
    if (id === undefined) return;
    const cancelled = this.#random() < CANCEL_SHARE ? this.#cancelLater(id) : undefined;
    const view = await this.#end(id);
    const answer = await cancelled;
    if (answer && answer.status !== view.status && isTerminal(answer.status))
      this.wrong.push(`${id}: the answer to its cancellation was ${answer.status}, and it is ${view.status}`);
    const isRemoved = view.status === 'completed' && this.#random() < REMOVE_SHARE;
    if (isRemoved) await this.#insist(() => this.#farm.client.remove(id));
    this.ended.push({ id, request, status: isRemoved ? 'removed' : view.status });
  }

  /** Asks until the farm has taken it; undefined when it surely has not and the caller goes away. */
  async #submit(request: Request): Promise<string | undefined> {
    const key = `key-${this.#keys++}`;
    let mayBeThere = false;
    const givesUpAtMs = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return (await this.#post(request, key)).id;
      } catch (error) {
        const { code, message } = error as FarmError;
        this.#note(code);
        mayBeThere ||= UNKNOWN.includes(code);
        if (!mayBeThere && this.#random() < GO_AWAY_SHARE) {
          this.refusedKeys.push(key);
          return undefined;
        }
        if (performance.now() > givesUpAtMs) throw new Error(`${key} was never taken: ${code} ${message}`);
        await delay(PAUSE_MS);
      }
    }
  }

  async #post({ speech, output, startFrame }: Request, idempotencyKey: string): Promise<RenderView> {
    return await this.#farm.client.submit(speech, { modelId: 'small', output, startFrame, idempotencyKey });
  }

  async #cancelLater(id: string): Promise<RenderView> {
    await delay(this.#random() ** 2 * 4000);
    return await this.#insist(() => this.#farm.client.cancel(id));
  }

  /** Waits for the end, and takes a failed render up again, whose files are there. */
  async #end(id: string): Promise<RenderView> {
    for (;;) {
      let last: RenderView | undefined;
      // An answer 404 to a render that was taken is thrown.
      for await (const view of this.#farm.client.watch(id, { forMs: PATIENCE_MS })) last = view;
      if (last?.status !== 'failed') return last as RenderView;
      if (last.error?.code !== MAY_FAIL_WITH) this.wrong.push(`${id} failed: ${JSON.stringify(last.error)}`);
      this.retried++;
      await this.#insist(() => this.#farm.client.retry(id));
    }
  }

  async #insist<T>(work: () => Promise<T>): Promise<T> {
    return await patiently(work, { forMs: PATIENCE_MS, onTrouble: (error) => this.#note(error.code) });
  }

  #note(code: string): void {
    this.answers.set(code, (this.answers.get(code) ?? 0) + 1);
  }

  async #filesOf(id: string): Promise<string[]> {
    const folder = path.join(this.#root, 'renders', id);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(ifNone);
    const files = entries.filter((entry) => entry.isFile());
    return files.map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name))).sort();
  }

  /** Of every frame, or of the video. */
  async #digest(id: string): Promise<string> {
    const hash = createHash('sha256');
    for (const file of await this.#filesOf(id)) {
      if (!/^(?:frames\/\d+\.jpg|video\.mp4)$/.test(file)) continue;
      hash.update(file).update(await readFile(path.join(this.#root, 'renders', id, file)));
    }
    return hash.digest('hex');
  }
}

function ifNone(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
