import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { patiently } from '../../client/patience.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { isTerminal, type RenderStatus } from '../../shared/renders/record.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** Renders that are disturbed at a chosen moment, and compared, frame for frame, with one that was not. */

/** Moments in the life of a render: its upload is half there, or it has this status. */
export type Moment = 'uploading' | Extract<RenderStatus, 'queued' | 'preparing' | 'rendering' | 'stitching'>;

/** A fault; what it returns undoes it, where it does not mend itself. */
export type Fault = () => Promise<(() => Promise<void>) | undefined>;

const LOOK_EVERY_MS = 3;
const PATIENCE_MS = 120_000;
/** A render may be quicker than the eye that waits for its moment. */
const TRIES = 5;
/** Makes the file large enough for its render to be caught in `prepare`. */
const SAMPLE_RATE_HZ = 96_000;

export class DisturbedRenders implements AsyncDisposable {
  readonly farm: TestFarm;
  readonly #speech: string;
  #expectedFrames = '';
  #expectedVideo = '';
  /** How long the undisturbed render took. */
  undisturbedS = 0;

  private constructor(farm: TestFarm, speech: string) {
    this.farm = farm;
    this.#speech = speech;
  }

  /**
   * Starts a farm with two GPU workers and renders once in peace.
   * @param seconds length of the sound.
   * @param settings laid over, in the form of config.yaml.
   */
  static async start(seconds: number, settings: Record<string, object> = {}): Promise<DisturbedRenders> {
    const farm = await startFarm({
      models: { small: SMALL_MODEL },
      gpus: { count: 2 },
      render: { segment_frames: 25 },
      ...settings,
    });
    const speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(seconds, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ);
    const renders = new DisturbedRenders(farm, speech);
    const startedAtMs = performance.now();
    renders.#expectedFrames = await renders.#digest(await renders.#finish(await renders.#submit('frames')));
    renders.undisturbedS = (performance.now() - startedAtMs) / 1000;
    renders.#expectedVideo = await renders.#digest(await renders.#finish(await renders.#submit('mp4')));
    return renders;
  }

  /**
   * Renders, disturbs at the moment, and waits for the end. Throws when the render does not complete, when a frame of it
   * differs from the undisturbed one, or when no render was caught at that moment.
   * @returns seconds from the fault to the end of the render.
   */
  async disturb(moment: Moment, fault: Fault): Promise<number> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const endedAfterS = await this.#disturbOne(moment, fault);
      if (endedAfterS !== undefined) return endedAfterS;
    }
    throw new Error(`No render was caught while it was ${moment}`);
  }

  /** Undefined when the render had passed the moment before it could be disturbed. */
  async #disturbOne(moment: Moment, fault: Fault): Promise<number | undefined> {
    const output = moment === 'stitching' ? 'mp4' : 'frames';
    let faultAtMs = Number.NaN;
    let undone: Promise<void> | undefined;
    const strike = async () => {
      faultAtMs = performance.now();
      undone = (await fault())?.();
    };
    // Nobody is quick enough to see a render queued: nothing may take it up until the fault is there.
    const release = moment === 'queued' ? await this.#holdMedia() : () => {};
    const id = await this.#submit(output, moment === 'uploading' ? strike : undefined).finally(release);
    const disturbed = moment === 'uploading' || moment === 'queued' || (await this.#reaches(id, moment));
    if (disturbed && moment !== 'uploading') await strike();
    const view = await this.#finish(id);
    const endedAfterS = (performance.now() - faultAtMs) / 1000;
    await undone;
    const digest = await this.#digest(view);
    if (digest !== (output === 'mp4' ? this.#expectedVideo : this.#expectedFrames))
      throw new Error(`The ${output} of ${id} differ from those of the undisturbed render`);
    await this.farm.client.remove(id);
    return disturbed ? endedAfterS : undefined;
  }

  /** Submits the sound for another model, and returns the id of the render. */
  async submit(modelId: string): Promise<string> {
    return (await this.farm.client.submit(this.#speech, { modelId, output: 'frames' })).id;
  }

  /** Waits for the end of a render of these, with output `frames`, and throws when a frame of it differs. */
  async compareFrames(id: string): Promise<void> {
    if ((await this.#digest(await this.#finish(id))) !== this.#expectedFrames)
      throw new Error(`The frames of ${id} differ from those of the undisturbed render`);
  }

  /** Process id by name, that of the private Redis as `redis`. */
  async pidOf(name: string): Promise<number> {
    if (name !== 'redis') return this.farm.farm.pids.get(name) ?? raise(`There is no process ${name}`);
    const text = await readFile(path.join(this.farm.folder, 'data', 'redis', 'redis.pid'), 'utf8');
    return (JSON.parse(text) as { pid: number }).pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.farm[Symbol.asyncDispose]();
  }

  async #holdMedia(): Promise<() => void> {
    const pid = await this.pidOf('media');
    process.kill(pid, 'SIGSTOP');
    return () => void process.kill(pid, 'SIGCONT');
  }

  /** The id of the new render. Asks again with the same idempotency key until the farm has taken it. */
  async #submit(output: 'mp4' | 'frames', halfway: () => Promise<void> = async () => {}): Promise<string> {
    const key = randomUUID();
    const first = await this.#upload(output, key, halfway);
    if (first) return first;
    const again = () => this.farm.client.submit(this.#speech, { modelId: 'small', output, idempotencyKey: key });
    return (await patiently(again, { forMs: PATIENCE_MS })).id;
  }

  /** Uploads with a pause in the middle; undefined when the farm did not take it. */
  async #upload(output: string, key: string, halfway: () => Promise<void>): Promise<string | undefined> {
    const boundary = 'a-boundary-of-this-test';
    const audio = await readFile(this.#speech);
    const part = (disposition: string) => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n`;
    const head = [
      `${part('name="output"')}\r\n${output}\r\n`,
      `${part('name="model_id"')}\r\nsmall\r\n`,
      `${part('name="audio"; filename="speech.wav"')}\r\n`,
    ].join('');
    const request = http.request(`${this.farm.url}/v1/renders`, {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}`, 'idempotency-key': key },
    });
    const answer = Promise.withResolvers<string | undefined>();
    request.on('error', () => answer.resolve(undefined));
    request.on('response', async (response) => {
      const text = Buffer.concat(await response.toArray().catch(() => [])).toString();
      answer.resolve(response.statusCode === 202 ? (JSON.parse(text) as { id: string }).id : undefined);
    });
    request.write(head);
    request.write(audio.subarray(0, audio.length / 2));
    await halfway();
    request.write(audio.subarray(audio.length / 2));
    request.end(`\r\n--${boundary}--\r\n`);
    return await answer.promise;
  }

  /** Waits until the render has that status; false when it was quicker. */
  async #reaches(id: string, moment: RenderStatus): Promise<boolean> {
    const order: RenderStatus[] = ['queued', 'preparing', 'rendering', 'stitching', 'completed'];
    const redis = workerConnection(this.farm.farm.redisUrl);
    try {
      for (;;) {
        const status = JSON.parse((await redis.hget(`${KEY_PREFIX}:render:${id}`, 'status')) ?? '"queued"');
        if (order.indexOf(status) > order.indexOf(moment) || isTerminal(status)) return false;
        // A render that has just begun has nothing yet that could be lost.
        if (status === moment && (moment !== 'rendering' || (await this.#hasProgress(redis, id)))) return true;
        await delay(LOOK_EVERY_MS);
      }
    } finally {
      redis.disconnect();
    }
  }

  async #hasProgress(redis: Redis, id: string): Promise<boolean> {
    return (await redis.hlen(`${KEY_PREFIX}:render:${id}:progress`)) > 1;
  }

  async #finish(id: string): Promise<RenderView> {
    let last: RenderView | undefined;
    for await (const view of this.farm.client.watch(id, { forMs: PATIENCE_MS })) last = view;
    if (last?.status !== 'completed') throw new Error(`${id} is ${last?.status}: ${JSON.stringify(last?.error)}`);
    return last;
  }

  async #digest({ id, output, frames }: RenderView): Promise<string> {
    if (output === 'mp4') return (await this.farm.client.receipt(id)).video?.sha256 ?? '';
    const hash = createHash('sha256');
    for (let index = 0; index < (frames.total ?? 0); index++)
      hash.update(await patiently(() => this.farm.client.frame(id, index), { forMs: PATIENCE_MS }));
    return hash.digest('hex');
  }
}

function raise(message: string): never {
  throw new Error(message);
}
