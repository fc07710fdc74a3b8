import { stat } from 'node:fs/promises';
import { readPortShapes } from '../onnx/port-shapes.ts';
import { ignored } from '../process/unheard.ts';
import { AUDIO_KIND_FACTS, type RowContext } from './audio-kinds.ts';
import { type Hearing, type HearingWishes, hearingOfShape, type OpenSize, USUAL_HEARING } from './hearing.ts';
import { type LipSyncPorts, lipSyncPorts, USUAL_PORTS } from './lip-sync-ports.ts';

interface NetworkPorts {
  readonly names: LipSyncPorts;
  /** What the file fixes of the shape of its speech features, [channels, height, width]; undefined: nothing. */
  readonly audioSizes: readonly OpenSize[] | undefined;
}

/** By path and version of the file. */
const known = new Map<string, { readonly version: string; readonly ports: Promise<NetworkPorts> }>();

/**
 * What the network of a file hears. Where the file is not at hand, or no ONNX file, what is wished for, or what is usual:
 * whoever opens it tells what is wrong.
 * @throws FarmError `model_unusable`: it takes no known features.
 */
export async function hearingOfFile(path: string, wishes: HearingWishes): Promise<Hearing> {
  const { audioSizes } = await portsOfFile(path);
  return audioSizes === undefined ? guessed(wishes) : hearingOfShape(audioSizes, wishes, path);
}

/** What a file calls the tensors of a lip-sync network; the usual names where it says nothing, or is none. */
export async function portNamesOfFile(path: string): Promise<LipSyncPorts> {
  return (await portsOfFile(path)).names;
}

async function portsOfFile(path: string): Promise<NetworkPorts> {
  const facts = await stat(path).catch(ignored('whoever opens it says that it is not there', undefined));
  if (facts === undefined) return NOTHING_SAID;
  const version = [facts.size, facts.mtimeMs, facts.ino].join('|');
  const entry = known.get(path);
  if (entry?.version === version) return await entry.ports;
  const ports = readPorts(path);
  known.set(path, { version, ports });
  return await ports;
}

const NOTHING_SAID: NetworkPorts = { names: USUAL_PORTS, audioSizes: undefined };

async function readPorts(path: string): Promise<NetworkPorts> {
  const found = await readPortShapes(path).catch(ignored('whoever opens it says what is wrong', undefined));
  if (found === undefined) return NOTHING_SAID;
  const names = lipSyncPorts(found.inputs, found.outputs) ?? USUAL_PORTS;
  const dims = found.inputs.find(({ name }) => name === names.audio)?.dims;
  return { names, audioSizes: dims && dims.length > 0 ? dims.slice(1) : undefined };
}

/** Networks that hear more rows than this one would wait a little longer than they must. */
function guessed({ kind, hubertChunks = 'long' }: HearingWishes): Hearing {
  if (kind === undefined) return { ...USUAL_HEARING, hubertChunks };
  return { kind, ...(AUDIO_KIND_FACTS[kind].contexts.at(-1) as RowContext), hubertChunks };
}
