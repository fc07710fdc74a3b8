import { type ChildProcess, fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { tinyEncoder, tinyNetwork } from '../../onnx/tiny-onnx.ts';
import { mutateBytes } from '../mutate.ts';
import type { Random } from '../random.ts';
import { show } from './refusals.ts';

/** Networks: damaged files through the loader of a GPU worker. */

const ENTRY = fileURLToPath(new URL('./onnx-process.ts', import.meta.url));
const ALLOWED = ['opened', 'model_unusable', 'resources_exhausted'];
const ENDED = 'the process ended';
/** A file that would be computed for longer than that is no network. */
const OPEN_MS = 15_000;

export class OnnxDoor {
  #child: ChildProcess | undefined;
  readonly #place: (name: string) => string;

  constructor(place: (name: string) => string) {
    this.#place = place;
  }

  readonly attempt = async (random: Random): Promise<void> => {
    const kind = random.pick(['encoder', 'network'] as const);
    const bytes = mutateBytes(random, kind === 'encoder' ? tinyEncoder() : tinyNetwork());
    const file = this.#place('network.onnx');
    await writeFile(file, bytes);
    this.#child ??= fork(ENTRY, { stdio: 'ignore' });
    const child = this.#child;
    const slow = setTimeout(() => child.kill('SIGKILL'), OPEN_MS);
    const { promise, resolve } = Promise.withResolvers<string>();
    const onAnswer = (code: unknown) => resolve(String(code));
    const onExit = (code: number | null, signal: string | null) => resolve(`${ENDED} with ${signal ?? code}`);
    child.on('message', onAnswer).on('exit', onExit);
    child.send({ file, kind });
    const answer = await promise;
    clearTimeout(slow);
    child.off('message', onAnswer).off('exit', onExit);
    if (answer.startsWith(ENDED)) this.#child = undefined;
    if (!ALLOWED.includes(answer)) throw new Error(`${kind}: ${answer}\n  file: ${show(bytes)}`);
  };

  close(): void {
    this.#child?.kill('SIGKILL');
  }
}
