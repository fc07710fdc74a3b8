import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import type { OutputRules } from '../../client/node/files.ts';
import { type Patience, patiently } from '../../client/patience.ts';
import type { SubmitOptions } from '../../client/requests.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { exitCodeOf, onEndRequest } from '../../shared/process/end-requests.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { openFarm } from '../farm-address.ts';
import { printJsonLine } from '../json-output.ts';
import { JsonProgress, type Progress, ProgressDisplay, timingsTable } from '../progress.ts';
import { cancelIfRunning } from '../renders.ts';
import { sizeOf } from '../sizes.ts';
import { checkSound, outputOf, type RenderCommandOptions, requestWithFootage, type Sound, soundOf } from './request.ts';
import { checkResult, fetchResult, resultNameOf } from './result.ts';

/** `farm render AUDIO`, or `farm render --resume ID`: submits, shows progress, fetches the result. */
export async function render(audio: string | undefined, options: RenderCommandOptions): Promise<void> {
  const { out, force = false } = options;
  const output = outputOf(options);
  const sound = audio === undefined ? undefined : soundOf(audio);
  const asked = out ?? (sound && resultNameOf(sound.fileName, output));
  const rules = { overwrite: force, input: audio };
  if (sound) await checkSound(sound);
  // Of a render that is resumed the farm says which form it has.
  if (sound && asked !== undefined) await checkResult(asked, output, rules);
  const request = await requestWithFootage(options);
  const client = openFarm(options);
  await client.greet();

  const progress = options.json ? new JsonProgress() : new ProgressDisplay();
  const session = new RenderSession(client, options.patience * 1000, asked, progress);
  await session.run(async () => {
    const first = await (sound === undefined
      ? session.find(options.resume ?? '')
      : session.submit(sound, request, options.idempotencyKey));
    const target = path.resolve(asked ?? resultNameOf(first.file_name, first.output));
    await checkResult(target, first.output, rules);
    const last = await session.watch(first);
    await session.fetch(last, target, rules);
    if (options.json) return printJsonLine({ event: 'completed', render: last, out: target });
    process.stdout.write(`\n${timingsTable(last)}\n\n${target}\n`);
  });
}

/** One render from here to its end, whatever comes in between. */
class RenderSession {
  readonly #client: NodeFarmClient;
  readonly #patience: Patience;
  readonly #display: Progress;
  readonly #stop = new AbortController();
  readonly #target: string | undefined;
  #renderId: string | undefined;
  /** True for a render that failed or was cancelled: it cannot be resumed. */
  #hasFailed = false;

  constructor(client: NodeFarmClient, patienceMs: number, target: string | undefined, display: Progress) {
    this.#client = client;
    this.#display = display;
    this.#target = target;
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

  /** @param key tells the farm that it is the same render, should it be asked for again; default: a new one. */
  async submit({ audio, text }: Sound, request: SubmitOptions, key: string = randomUUID()): Promise<RenderView> {
    if (typeof audio === 'string') {
      const { size } = await stat(audio);
      this.#display.say(`Sending ${text} (${sizeOf(size)}) to ${this.#client.url}`);
    } else this.#display.say(`Having ${this.#client.url} fetch ${text}`);
    // The same key every time: should an answer be lost, the next one is about the render that was taken the first time.
    const options = { ...request, idempotencyKey: key };
    const view = await patiently(() => this.#client.submit(audio, options), this.#patience);
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

  async fetch(view: RenderView, target: string, rules: OutputRules): Promise<void> {
    await checkResult(target, view.output, rules);
    await fetchResult(this.#client, view, target, this.#patience);
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
    const out = this.#target === undefined ? '' : ` --out ${this.#target}`;
    return `The farm keeps render ${id}:\n  farm render --resume ${id}${out}   goes on with it\n  farm cancel ${id}   cancels it`;
  }
}
