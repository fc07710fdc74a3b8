import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../client/node/farm-client.ts';
import { checkInput, checkOutput } from '../client/node/files.ts';
import { type Patience, patiently } from '../client/patience.ts';
import { FarmError } from '../shared/errors.ts';
import { exitCodeOf, onEndRequest } from '../shared/process/end-requests.ts';
import type { RenderView } from '../shared/views/render-view.ts';
import { openFarm } from './farm-address.ts';
import { ManyDisplay } from './many-display.ts';
import { type RenderCommandOptions, requestOf, videoNameOf } from './render.ts';

interface Task {
  readonly audioPath: string;
  readonly target: string;
}

/**
 * `farm render AUDIO … --out-dir DIR`: some at once, each into a video of its name. One that fails does not stop the
 * others; the exit code is 1 then. FarmError: output_unwritable where two sounds would become the same video.
 */
export async function renderMany(audioPaths: readonly string[], options: RenderCommandOptions): Promise<void> {
  const folder = path.resolve(options.outDir ?? '.');
  const tasks = audioPaths.map((audioPath) => ({ audioPath, target: path.join(folder, videoNameOf(audioPath)) }));
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
  for (const { audioPath, target } of tasks) {
    const other = byTarget.get(target);
    if (other !== undefined) {
      throw new FarmError(
        'output_unwritable',
        `${other} and ${audioPath} would both become ${target}: render them apart`,
      );
    }
    byTarget.set(target, audioPath);
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
      const { failed } = this.#display.end();
      if (failed > 0) process.exitCode ||= 1;
    } finally {
      stopListening();
    }
  }

  /** Never rejects: what went wrong is shown. */
  async #one({ audioPath, target }: Task): Promise<void> {
    let render: RenderView | undefined;
    try {
      this.#stop.signal.throwIfAborted();
      await checkInput(audioPath);
      const rules = { overwrite: this.#options.force ?? false, input: audioPath };
      await checkOutput(target, rules);
      const request = { ...requestOf(this.#options), idempotencyKey: randomUUID() };
      render = await patiently(() => this.#client.submit(audioPath, request), this.#patience);
      const { id } = render;
      for await (const view of this.#client.watch(id, this.#patience)) {
        render = view;
        this.#display.update(audioPath, view);
      }
      if (render.error) throw FarmError.fromReport(render.error);
      if (render.status === 'cancelled') throw new FarmError('render_cancelled', `Render ${id} was cancelled`);
      await checkOutput(target, rules);
      await patiently(() => this.#client.saveVideo(id, target, this.#stop.signal), this.#patience);
      this.#display.completed(audioPath, render, target);
    } catch (thrown) {
      const error = FarmError.from(thrown);
      this.#display.failed(audioPath, render, error, await this.#cancelled(render));
    }
  }

  /** After Ctrl-C: whether the farm has cancelled the render, in a few words. */
  async #cancelled(render: RenderView | undefined): Promise<string> {
    if (!this.#stop.signal.aborted || !render) return '';
    try {
      return (await this.#client.cancel(render.id)).status;
    } catch {
      return `not cancelled: farm cancel ${render.id}`; // The farm is away; its user must say it again.
    }
  }
}
