import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../client/node/farm-client.ts';
import { checkInput, checkOutput, type OutputRules } from '../client/node/files.ts';
import { type Patience, patiently } from '../client/patience.ts';
import type { SubmitOptions } from '../client/requests.ts';
import { FarmError } from '../shared/errors.ts';
import { exitCodeOf, onEndRequest } from '../shared/process/end-requests.ts';
import type { RenderPriority } from '../shared/renders/record.ts';
import { MB } from '../shared/units.ts';
import type { RenderView } from '../shared/views/render-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJsonLine } from './json-output.ts';
import { JsonProgress, type Progress, ProgressDisplay, timingsTable } from './progress.ts';
import { cancelIfRunning } from './renders.ts';

export interface RenderCommandOptions extends FarmOptions {
  readonly model?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly priority?: RenderPriority;
  /** Frames [from, to) of the sound. */
  readonly from?: number;
  readonly to?: number;
  readonly out?: string;
  readonly outDir?: string;
  readonly parallel: number;
  readonly json?: boolean;
  readonly force?: boolean;
  readonly resume?: string;
  /** Seconds to try again while the farm does not answer. */
  readonly patience: number;
}

/** `farm render AUDIO`, or `farm render --resume ID`: submits, shows progress, fetches the video. */
export async function render(audioPath: string | undefined, options: RenderCommandOptions): Promise<void> {
  const { out, force = false } = options;
  const videoPath = out ?? (audioPath === undefined ? undefined : videoNameOf(audioPath));
  const rules = { overwrite: force, input: audioPath };
  if (audioPath !== undefined) await checkInput(audioPath);
  if (videoPath !== undefined) await checkOutput(videoPath, rules);
  const client = openFarm(options);
  await client.greet();

  const progress = options.json ? new JsonProgress() : new ProgressDisplay();
  const session = new RenderSession(client, options.patience * 1000, videoPath, progress);
  await session.run(async () => {
    const first = await (audioPath === undefined
      ? session.find(options.resume ?? '')
      : session.submit(audioPath, requestOf(options)));
    const target = path.resolve(videoPath ?? videoNameOf(first.file_name));
    if (first.output === 'mp4') await checkOutput(target, rules);
    const last = await session.watch(first);
    if (last.output === 'mp4') await session.fetch(last, target, rules);
    if (options.json)
      return printJsonLine({ event: 'completed', render: last, out: last.output === 'mp4' ? target : null });
    const result = last.output === 'mp4' ? target : `Its frames: ${client.url}${last.links.frames}`;
    process.stdout.write(`\n${timingsTable(last)}\n\n${result}\n`);
  });
}

/** What the options say about a render. */
export function requestOf({ model, label, priority, from, to }: RenderCommandOptions): SubmitOptions {
  return {
    ...(model ? { modelId: model } : {}),
    ...(label ? { labels: label } : {}),
    ...(priority ? { priority } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** One render from here to its end, whatever comes in between. */
class RenderSession {
  readonly #client: NodeFarmClient;
  readonly #patience: Patience;
  readonly #display: Progress;
  readonly #stop = new AbortController();
  readonly #videoPath: string | undefined;
  #renderId: string | undefined;
  /** True for a render that failed or was cancelled: it cannot be resumed. */
  #hasFailed = false;

  constructor(client: NodeFarmClient, patienceMs: number, videoPath: string | undefined, display: Progress) {
    this.#client = client;
    this.#display = display;
    this.#videoPath = videoPath;
    this.#patience = {
      forMs: patienceMs,
      signal: this.#stop.signal,
      onTrouble: ({ message }) => this.#display.say(`${message}. Trying again for ${patienceMs / 1000} s …`),
      onRecovery: () => this.#display.say('The farm answers again.'),
    };
  }

  /** Ctrl-C and SIGTERM cancel the render, and a second one leaves at once. A closed terminal cancels nothing. */
  async run(work: () => Promise<void>): Promise<void> {
    let ending: 'SIGINT' | 'SIGTERM' | undefined;
    const stopListening = onEndRequest({
      first: (reason) => {
        if (reason === 'terminal closed') process.exit(exitCodeOf('SIGHUP'));
        ending = reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM';
        const id = this.#renderId;
        this.#display.say(id ? `Cancelling render ${id} …` : 'Cancelling as soon as the farm has answered …');
        this.#stop.abort(new FarmError('request_cancelled', 'Interrupted'));
      },
      again: (signal) => {
        this.#display.say(this.#waysOn());
        process.exit(exitCodeOf(signal));
      },
    });
    try {
      await work();
    } catch (error) {
      if (ending === undefined) throw this.#withWaysOn(error);
      await this.#cancel();
      process.exitCode = exitCodeOf(ending);
    } finally {
      stopListening();
    }
  }

  async submit(audioPath: string, request: SubmitOptions): Promise<RenderView> {
    const { size } = await stat(audioPath);
    this.#display.say(`Sending ${audioPath} (${(size / MB).toFixed(1)} MB) to ${this.#client.url}`);
    // The same key every time: should an answer be lost, the next one is about the render that was taken the first time.
    const options = { ...request, idempotencyKey: randomUUID() };
    const view = await patiently(() => this.#client.submit(audioPath, options), this.#patience);
    return this.#take(view, 'Ctrl-C cancels it');
  }

  async find(renderId: string): Promise<RenderView> {
    return this.#take(await patiently(() => this.#client.get(renderId), this.#patience), 'going on with it');
  }

  /** Resolves to the completed render; a failed or cancelled one is thrown as its error. */
  async watch({ id }: RenderView): Promise<RenderView> {
    const last = await this.#display.show(this.#client.watch(id, this.#patience));
    this.#hasFailed = last.status !== 'completed';
    if (last.error) {
      const error = FarmError.fromReport(last.error);
      // What is wrong with the sound is wrong the next time, too.
      if (error.httpStatus >= 500) this.#display.say(`farm retry ${id} takes it up again where it was.`);
      throw error;
    }
    if (last.status === 'cancelled') throw new FarmError('render_cancelled', `Render ${id} was cancelled`);
    return last;
  }

  async fetch({ id }: RenderView, target: string, rules: OutputRules): Promise<void> {
    await checkOutput(target, rules);
    await patiently(() => this.#client.saveVideo(id, target, this.#stop.signal), this.#patience);
  }

  #take(view: RenderView, what: string): RenderView {
    this.#renderId = view.id;
    this.#display.say(`Render ${view.id} is ${view.status}; ${what}.`);
    this.#stop.signal.throwIfAborted();
    return view;
  }

  async #cancel(): Promise<void> {
    try {
      this.#display.say(this.#renderId ? await cancelIfRunning(this.#client, this.#renderId) : this.#waysOn());
    } catch (error) {
      throw this.#withWaysOn(error);
    }
  }

  /** Says how to go on, unless the render itself has failed; returns the error. */
  #withWaysOn(error: unknown): unknown {
    if (this.#renderId && !this.#hasFailed) this.#display.say(this.#waysOn());
    return error;
  }

  #waysOn(): string {
    const id = this.#renderId;
    if (!id)
      return `The farm did not answer. Should it have taken the render, ${this.#client.url}/v1/renders lists it.`;
    const out = this.#videoPath === undefined ? '' : ` --out ${this.#videoPath}`;
    return `The farm keeps render ${id}:\n  farm render --resume ${id}${out}   goes on with it\n  farm cancel ${id}   cancels it`;
  }
}

/** "a/voice.mp3" → "voice.mp4". */
export function videoNameOf(fileName: string): string {
  return `${path.parse(fileName).name}.mp4`;
}
