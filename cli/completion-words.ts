import { isTerminal, type RenderStatus } from '../shared/renders/record.ts';
import type { RenderView } from '../shared/views/render-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';

/** What a shell offers of a running farm: `farm __words KIND LINE`, which the scripts of `farm completion` call. */

export const WORD_COMMAND = '__words';
export const WORD_KINDS = ['renders', 'unfinished', 'failed', 'ended', 'models', 'gpus', 'hosts'] as const;
export type WordKind = (typeof WORD_KINDS)[number];

/** Somebody waits with a finger on the key. */
const ANSWER_WITHIN_MS = 1000;
const MOST_RENDERS = 50;

/**
 * Prints a line for each word, with what it is behind a tab. Of a farm that is away, refuses or takes longer than a second
 * there are none, and nothing is said about that.
 * @param line what was written so far; its --url, --api-key and --config hold.
 */
export async function offerWords(kind: string, line: string): Promise<void> {
  setTimeout(() => process.exit(), ANSWER_WITHIN_MS).unref();
  try {
    const words = await wordsOf(kind as WordKind, optionsIn(line));
    process.stdout.write(words.map(([word, about]) => `${word}\t${about}\n`).join(''));
  } catch {
    // Completion has no place to say why there is nothing.
  }
}

async function wordsOf(kind: WordKind, options: FarmOptions): Promise<(readonly [word: string, about: string])[]> {
  const farm = openFarm(options);
  if (kind === 'models') {
    const { models } = await farm.models();
    return models.map(({ id, loaded_on }) => [id, loaded_on.length > 0 ? 'loaded' : 'not loaded']);
  }
  if (kind === 'gpus') {
    const { gpus } = await farm.gpus();
    return gpus.map(({ gpu, state, device }) => [String(gpu), [state, device ?? ''].join(' ').trim()]);
  }
  if (kind === 'hosts') {
    const { hosts } = await farm.hosts.list();
    return hosts.map(({ name, state, tags }) => [name, [state, ...tags].join(' ')]);
  }
  const filter: { status?: RenderStatus } = kind === 'failed' ? { status: 'failed' } : {};
  const { renders } = await farm.list(MOST_RENDERS, filter);
  return renders.filter((render) => isMeant(kind, render)).map(({ id, ...of }) => [id, `${of.status} ${of.file_name}`]);
}

function isMeant(kind: WordKind, { status }: RenderView): boolean {
  if (kind === 'unfinished') return !isTerminal(status);
  return kind !== 'ended' || isTerminal(status);
}

/** Which farm the line is about. */
function optionsIn(line: string): FarmOptions {
  const value = (long: string, short: string) =>
    new RegExp(`\\s(?:${long}[=\\s]|${short}\\s?)\\s*([^\\s-]\\S*)`).exec(line)?.[1];
  const [url, apiKey, config] = [value('--url', '-u'), value('--api-key', '-k'), value('--config', '-c')];
  return { ...(url ? { url } : {}), ...(apiKey ? { apiKey } : {}), ...(config ? { config } : {}) };
}
