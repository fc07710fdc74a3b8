/**
 * Which execution provider the nodes of a session really run on, from ONNX Runtime's own profile of a run. The list of
 * providers that a session is opened with proves nothing: some nodes, or all of them, may silently run on the CPU.
 */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ignored } from '../../shared/process/unheard.ts';
import type { InferenceSession } from './onnxruntime.ts';

/** Number of nodes that ran on each provider, by its name in the configuration, such as `cuda`. */
export type NodesByProvider = Readonly<Record<string, number>>;

const PROFILE_PREFIX = 'run';
/** Matches once in the event of each kernel. Quotes inside JSON strings are escaped, so nothing else matches. */
const KERNEL_PROVIDER = /"provider"\s*:\s*"(\w+?)(?:ExecutionProvider)?"/g;

/** Profiles the first run of one session. Its files are in a folder of their own, which is removed with the probe. */
export class PlacementProbe implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined when no file can be written here: the provider is then used without the check. */
  static async start(): Promise<PlacementProbe | undefined> {
    return await mkdtemp(join(tmpdir(), 'farm-profile-')).then(
      (folder) => new PlacementProbe(folder),
      ignored('without a place for its files the provider is used unchecked'),
    );
  }

  /** Options that the session must be opened with. */
  get sessionOptions(): InferenceSession.SessionOptions {
    return { enableProfiling: true, profileFilePrefix: join(this.#folder, PROFILE_PREFIX) };
  }

  /**
   * Reads the profile after the first run, and ends profiling, which slows runs down. Empty when there is no profile.
   */
  async read(session: InferenceSession): Promise<NodesByProvider> {
    session.endProfiling();
    const [name] = await readdir(this.#folder);
    return name === undefined ? {} : countNodes(await readFile(join(this.#folder, name), 'utf8'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The kernel runs in the text of a profile, by provider: `CUDAExecutionProvider` counts as `cuda`. */
function countNodes(profile: string): NodesByProvider {
  const counts: Record<string, number> = {};
  for (const [, name = ''] of profile.matchAll(KERNEL_PROVIDER)) {
    const provider = name.toLowerCase();
    counts[provider] = (counts[provider] ?? 0) + 1;
  }
  return counts;
}

/**
 * Checks that a provider does the work it was asked for.
 * @throws Error when nodes ran, and none of them on the provider.
 */
export function checkPlacement(provider: string, nodes: NodesByProvider): void {
  const elsewhere = Object.keys(nodes);
  if (elsewhere.length === 0 || (nodes[provider] ?? 0) > 0) return;
  throw new Error(`ONNX Runtime ran every node of the model on ${elsewhere.join(' and ')} instead`);
}
