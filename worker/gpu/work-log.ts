import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { ByteRange } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import type { Logger } from '../../shared/process/log.ts';
import { ifMissing, logged } from '../../shared/process/unheard.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { WorkPlace } from './work-counts.ts';

/** Debug folders that a worker keeps, the newest. */
const MOST_FOLDERS = 100;
const SAMPLE_BYTES = 4;
/** What of a sound is kept: a minute at 16 kHz, as float32. */
const MOST_SOUND_BYTES = 60 * SAMPLE_RATE_HZ * SAMPLE_BYTES;

export interface WorkLogTools {
  readonly config: Pick<Config, 'logging' | 'storageRoot'>;
  /** `gpu-0`. */
  readonly name: string;
  readonly log: Logger;
}

/** Time in each stage in ms, over all frames of a task. */
export type StageTimes = Readonly<Record<string, number>>;

/**
 * What the keys of the one-process server's section `logging` ask for of each segment and live request, or of each Nth:
 * lines with the times of its stages, and files to look at what went in and came out.
 */
export class WorkLog {
  readonly #tools: WorkLogTools;
  #seen = 0;
  #folders = 0;

  constructor(tools: WorkLogTools) {
    this.#tools = tools;
  }

  /** Undefined where nothing is to be kept of this task. @param about what it is, for the lines. */
  begin(place: WorkPlace, about: Readonly<Record<string, unknown>>): TaskLog | undefined {
    const { config, name } = this.#tools;
    const { log_inference_times, log_compositing_times, save_debug_files, sample_rate } = config.logging;
    if (!log_inference_times && !log_compositing_times && !save_debug_files) return undefined;
    if (this.#seen++ % sample_rate !== 0) return undefined;
    if (!save_debug_files) return new TaskLog(this.#tools, { ...place, ...about });
    const root = path.join(config.storageRoot, 'debug');
    const number = String(++this.#folders).padStart(6, '0');
    const folder = path.join(root, `${name}-${new Date().toISOString().replaceAll(':', '-')}-${number}`);
    this.#forgetOld(root).catch(logged('old debug files stay'));
    return new TaskLog(this.#tools, { ...place, ...about }, folder);
  }

  async #forgetOld(root: string): Promise<void> {
    const all = await readdir(root).catch(ifMissing<string[]>([]));
    const own = all.filter((each) => each.startsWith(`${this.#tools.name}-`)).sort();
    for (const each of own.slice(0, -MOST_FOLDERS)) await rm(path.join(root, each), { recursive: true, force: true });
  }
}

/** What is kept of one task. */
export class TaskLog {
  readonly #tools: WorkLogTools;
  readonly #about: Readonly<Record<string, unknown>>;
  /** Of its debug files; undefined where none are kept. */
  readonly #folder: string | undefined;
  #files: Promise<unknown> = Promise.resolve();
  #hasPicture = false;

  constructor(tools: WorkLogTools, about: Readonly<Record<string, unknown>>, folder?: string) {
    this.#tools = tools;
    this.#about = about;
    this.#folder = folder;
  }

  /** The sound as the network hears it: 16 kHz, mono, float32. A minute at most is kept. */
  sound(samples: Uint8Array): void {
    if (samples.length > 0) this.#save('sound.f32', () => Buffer.from(samples.subarray(0, MOST_SOUND_BYTES)));
  }

  /** The same of a file with that sound, of which `read` gives bytes: its samples [start, end). */
  soundOf(
    read: (bytes: ByteRange) => Readable,
    { start, end }: { readonly start: number; readonly end: number },
  ): void {
    const from = start * SAMPLE_BYTES;
    const to = Math.min(end * SAMPLE_BYTES, from + MOST_SOUND_BYTES);
    if (to > from) this.#write('sound.f32', () => read({ start: from, end: to - 1 }));
  }

  /** A frame that was made; the first one is kept. @param form of the bytes. */
  picture(bytes: Uint8Array, form: string): void {
    if (this.#hasPicture) return;
    this.#hasPicture = true;
    this.#save(form === 'jpeg' ? 'frame.jpg' : `frame.${form}`, () => Buffer.from(bytes));
  }

  /** The task has been done. */
  done(frames: number, times: StageTimes): void {
    const { config, log } = this.#tools;
    const about = { ...this.#about, frames };
    const a_frame = (...stages: string[]) =>
      Object.fromEntries(stages.map((stage) => [`${stage}_ms`, tenth((times[stage] ?? 0) / Math.max(1, frames))]));
    if (config.logging.log_inference_times)
      log.info({ ...about, a_frame: a_frame('mel', 'encoder', 'visual_input', 'inference') }, 'inference times');
    if (config.logging.log_compositing_times)
      log.info({ ...about, a_frame: a_frame('background', 'composite', 'encode') }, 'compositing times');
    this.#save('request.json', () => Buffer.from(JSON.stringify({ ...about, timings_ms: times }, null, 2)));
  }

  /** Resolves when its files are written. */
  async written(): Promise<void> {
    await this.#files;
  }

  /** @param bytes are asked for now: their memory may be used again. */
  #save(name: string, bytes: () => Buffer): void {
    if (this.#folder === undefined) return;
    const content = bytes();
    this.#write(name, () => content);
  }

  #write(name: string, content: () => Buffer | Readable): void {
    const folder = this.#folder;
    if (folder === undefined) return;
    const write = async () => {
      await mkdir(folder, { recursive: true });
      await writeFile(path.join(folder, name), content());
    };
    this.#files = Promise.all([this.#files, write().catch(logged('a debug file was not written'))]);
  }
}

function tenth(ms: number): number {
  return Math.round(ms * 10) / 10;
}
