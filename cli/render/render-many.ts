import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { type Patience, patiently } from '../../client/patience.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { exitCodeOf, onEndRequest } from '../../shared/process/end-requests.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { openFarm } from '../farm-address.ts';
import { ManyDisplay } from './many-display.ts';
import { checkSound, outputOf, type RenderCommandOptions, requestOf, type Sound, soundOf } from './request.ts';
import { checkResult, fetchResult, resultNameOf } from './result.ts';

interface Task {
  readonly sound: Sound;
  readonly target: string;
}

/**
 * `farm render AUDIO … --out-dir DIR`: some at once, each into a video or folder of its name. One that fails does not stop the
 * others; the exit code is 1 then. FarmError: output_unwritable where two sounds would become the same one.
 */
export async function renderMany(audio: readonly string[], options: RenderCommandOptions): Promise<void> {
  const folder = path.resolve(options.outDir ?? '.');
  const tasks = audio.map(soundOf).map((sound) => {
    return { sound, target: path.join(folder, resultNameOf(sound.fileName, outputOf(options))) };
  });
  refuseSameTargets(tasks);
  const client = openFarm(options);
  await client.greet();
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new FarmError('output_unwritable', `${folder} cannot be made: ${error.message}`, { cause: error });
  });
  await new Batch(client, options).run(tasks);
}

function refuseSameTargets(tasks: readonly Task[]): void {
  const byTarget = new Map<string, string>();
  for (const { sound, target } of tasks) {
    const other = byTarget.get(target);
    if (other !== undefined) {
      throw new FarmError(
        'output_unwritable',
        `${other} and ${sound.text} would both become ${target}: render them apart`,
      );
    }
    byTarget.set(target, sound.text);
  }
}

/** Renders that are submitted together. */
class Batch {
  readonly #client: NodeFarmClient;
  readonly #options: RenderCommandOptions;
  readonly #stop = new AbortController();
  readonly #patience: Patience;
  readonly #display: ManyDisplay;

  constructor(client: NodeFarmClient, options: RenderCommandOptions) {
    this.#client = client;
    this.#options = options;
    this.#display = new ManyDisplay(options.json ?? false);
    this.#patience = { forMs: options.patience * 1000, signal: this.#stop.signal };
  }

  /** Ctrl-C and SIGTERM cancel those that are unfinished, and a second one leaves at once. */
  async run(tasks: readonly Task[]): Promise<void> {
    const stopListening = onEndRequest({
      first: (reason) => {
        if (reason === 'terminal closed') process.exit(exitCodeOf('SIGHUP'));
        process.exitCode = exitCodeOf(reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM');
        this.#display.say('Cancelling what is unfinished …');
        this.#stop.abort(new FarmError('request_cancelled', 'Interrupted'));
      },
      again: (signal) => process.exit(exitCodeOf(signal)),
    });
    try {
      this.#display.begin(tasks.length, this.#client.url);
      const waiting = [...tasks];
      const line = async () => {
        for (let task = waiting.shift(); task; task = waiting.shift()) await this.#one(task);
      };
      await Promise.all(Array.from({ length: Math.min(this.#options.parallel, tasks.length) }, line));
      const { failed, cancelled } = this.#display.end();
      if (failed + cancelled > 0) process.exitCode ||= 1;
    } finally {
      stopListening();
    }
  }

  /** Never rejects: what went wrong is shown. */
  async #one({ sound, target }: Task): Promise<void> {
    const { text } = sound;
    let render: RenderView | undefined;
    try {
      this.#stop.signal.throwIfAborted();
      await checkSound(sound);
      const rules = { overwrite: this.#options.force ?? false, input: text };
      await checkResult(target, outputOf(this.#options), rules);
      const request = { ...requestOf(this.#options), idempotencyKey: randomUUID() };
      render = await patiently(() => this.#client.submit(sound.audio, request), this.#patience);
      const { id } = render;
      for await (const view of this.#client.watch(id, this.#patience)) {
        render = view;
        this.#display.update(text, view);
      }
      if (render.error) throw FarmError.fromReport(render.error);
      if (render.status === 'cancelled') throw new FarmError('render_cancelled', `Render ${id} was cancelled`);
      await checkResult(target, render.output, rules);
      await fetchResult(this.#client, render, target, this.#patience);
      this.#display.completed(text, render, target);
    } catch (thrown) {
      await this.#wentWrong(text, render, FarmError.from(thrown));
    }
  }

  /** Shows a fault; what Ctrl-C ended, or somebody else, is cancelled and did not fail. */
  async #wentWrong(sound: string, render: RenderView | undefined, error: FarmError): Promise<void> {
    if (error.code === 'render_cancelled') this.#display.cancelled(sound, render);
    else if (error.code !== 'request_cancelled') this.#display.failed(sound, render, error);
    else if (!render) this.#display.cancelled(sound, undefined);
    else {
      const { id } = render;
      try {
        this.#display.cancelled(sound, await this.#client.cancel(id));
      } catch (thrown) {
        // The farm is away; its user must say it again.
        const fault = FarmError.from(thrown);
        const message = `not cancelled, farm cancel ${id} does that: ${fault.message}`;
        this.#display.failed(sound, render, new FarmError(fault.code, message, { cause: thrown }));
      }
    }
  }
}
