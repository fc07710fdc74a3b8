import { stat } from 'node:fs/promises';
import { type InputShape, readInputShapes } from '../onnx/input-shapes.ts';
import { ignored } from '../process/unheard.ts';
import { AUDIO_KIND_FACTS, type RowContext } from './audio-kinds.ts';
import { type Hearing, type HearingWishes, hearingOfShape, type OpenSize, USUAL_HEARING } from './hearing.ts';

/** The lip-sync network's input of speech features. */
export const AUDIO_INPUT = 'audio';

/** What the file of a network fixes of the shape of its speech features, [channels, height, width]. */
type AudioSizes = readonly OpenSize[] | undefined;

/** By path and version of the file. */
const known = new Map<string, { readonly version: string; readonly sizes: Promise<AudioSizes> }>();

/**
 * What the network of a file hears. Where the file is not at hand, or no ONNX file, what is wished for, or what is usual:
 * whoever opens it tells what is wrong.
 * @throws FarmError `model_unusable`: it takes no known features.
 */
export async function hearingOfFile(path: string, wishes: HearingWishes): Promise<Hearing> {
  const facts = await stat(path).catch(ignored('whoever opens it says that it is not there', undefined));
  if (facts === undefined) return guessed(wishes);
  const version = [facts.size, facts.mtimeMs, facts.ino].join('|');
  let entry = known.get(path);
  if (entry?.version !== version) {
    entry = { version, sizes: audioSizes(path) };
    known.set(path, entry);
  }
  const sizes = await entry.sizes;
  return sizes === undefined ? guessed(wishes) : hearingOfShape(sizes, wishes, path);
}

/** Undefined where the file says nothing. */
async function audioSizes(path: string): Promise<AudioSizes> {
  const inputs = await readInputShapes(path).catch(ignored<InputShape[]>('whoever opens it says what is wrong', []));
  const dims = inputs.find(({ name }) => name === AUDIO_INPUT)?.dims;
  return dims && dims.length > 0 ? dims.slice(1) : undefined;
}

/** Networks that hear more rows than this one would wait a little longer than they must. */
function guessed({ kind, hubertChunks = 'long' }: HearingWishes): Hearing {
  if (kind === undefined) return { ...USUAL_HEARING, hubertChunks };
  return { kind, ...(AUDIO_KIND_FACTS[kind].contexts.at(-1) as RowContext), hubertChunks };
}
