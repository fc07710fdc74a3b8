/** One model, ready to render: its network, its encoder, its avatar, and what they were made from. */

import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { hearingWishes } from '../../shared/config/model-hearing.ts';
import { type Avatar, openAvatar } from '../avatar/avatar.ts';
import { unseenBackdrop } from '../avatar/backdrop.ts';
import { openIdlePictures } from '../avatar/idle-pictures.ts';
import type { ProviderReport } from '../onnx/execution-providers.ts';
import { OnnxLipSyncNetwork } from '../onnx/lip-sync-network.ts';
import type { RunSettings } from '../onnx/onnx-session.ts';
import { openEncoder } from '../onnx/open-encoder.ts';
import type { AudioEncoder, LipSyncNetwork } from '../pipeline/contract.ts';
import { checkFace } from '../pipeline/pipeline.ts';
import { SilentMouths } from '../pipeline/silent-mouths.ts';
import { IdleClip } from '../prepared/idle-clip.ts';
import { type OpenPrepared, PreparedAvatars } from '../prepared/prepared-avatars.ts';
import type { PreparedPictures } from '../prepared/prepared-pictures.ts';
import { type FileFingerprint, fingerprintFile, fingerprintNetwork, versionOf } from './file-fingerprint.ts';
import type { LoadSettings } from './load-settings.ts';
import { MemoryProbe } from './memory-probe.ts';
import { ModelContent, machineOf } from './model-content.ts';
import { SharedEncoders } from './shared-encoders.ts';

export interface LoadModelOptions extends LoadSettings {
  readonly entry: ModelConfig;
  readonly encoders: SharedEncoders;
  readonly memory: MemoryProbe;
  readonly prepared: PreparedAvatars;
}

export interface LoadedModel {
  readonly modelId: string;
  /** What it was loaded from. */
  readonly entry: ModelConfig;
  readonly network: LipSyncNetwork;
  readonly encoder: AudioEncoder;
  readonly avatar: Avatar;
  /** The avatar's pictures, ready for a mouth. */
  readonly prepared: PreparedPictures;
  /** What its network makes of silence. */
  readonly silentMouths: SilentMouths;
  /** What it shows in long silences, where its entry names that. */
  readonly idle?: IdleClip | undefined;
  /** What the network runs on. */
  readonly provider: ProviderReport;
  /** From the call to ready, warm-up included. */
  readonly loadMs: number;
  /** Duration of a run after that, by frame. */
  readonly msPerFrame: number;
  /** When it was ready, in ms since 1970. */
  readonly loadedAtMs: number;
  /**
   * What it takes now, in bytes: its network as measured when it was opened, its share of the encoder, the prepared
   * pictures that are kept.
   */
  readonly memoryBytes: number;
  /** The part of `memoryBytes` in the process's own memory, without what its networks take of a CUDA device. */
  readonly hostBytes: number;
  /** The network, the encoder, each with its weights where they lie beside it, the crop rects where there are pictures. */
  readonly files: readonly FileFingerprint[];
  /** One hash of them all, short, since people meet it. */
  readonly filesHash: string;
  /** What it is made of, for segments that are kept; undefined where none are. */
  readonly content: ModelContent | undefined;
  /** Ends its sessions; nothing of it may be in use. Calling it again does nothing. */
  release(): Promise<void>;
}

const HASH_LENGTH = 12;
/** A load waits so long for the content of an avatar that is new to this machine; of thousands of pictures it takes longer. */
const LEARN_WITHIN_MS = 2000;

/**
 * Loads a model. Nothing stays open when it fails.
 * @throws FarmError `model_unusable` with the path, what was found and what is expected.
 * @throws FarmError `dependency_missing` when no configured execution provider works on this machine.
 */
export async function loadModel(options: LoadModelOptions): Promise<LoadedModel> {
  const { entry, encoders } = options;
  const startedAt = performance.now();
  // The avatar first: its mistakes are the common ones and cost nothing to find.
  const avatar = await openAvatar(entry);
  await using opened = new AsyncDisposableStack();
  const { opened: network, bytes: networkBytes } = await options.memory.measure(entry.modelPath, () =>
    OnnxLipSyncNetwork.open(entry.modelPath, { ...options, hears: hearingWishes(entry) }),
  );
  opened.defer(() => network.release());
  const face = await avatar.face?.(0);
  if (face) checkFace(face, network.size, 0);
  const lease = await encoders.acquire(entry.audioEncoderPath, network.hearing.kind);
  opened.defer(() => lease.release());
  const networks = [...(await fingerprintNetwork(entry.modelPath)), ...lease.files];
  const prepared = await options.prepared.open(entry.modelId, avatar, network.size);
  opened.defer(prepared.release);
  options.prepared.warn(entry.modelId, unseenBackdrop(entry, avatar));
  const idle = await openIdle(options, { avatar, pictures: prepared.pictures, opened });
  const silentMouths = silentMouthsOf(network, networks, lease.encoder, prepared);
  if (entry.preloadBackgrounds) await prepared.pictures.fill();
  const files = [...networks, ...(await filesOfPictures(entry))];
  const content = await openContent(options, network, networks, { pictures: prepared.pictures, idle, opened });
  const kept = opened.move();
  const pictureBytes = () => prepared.pictures.cachedBytes + silentMouths.cachedBytes + (idle?.cachedBytes ?? 0);
  const memoryBytes = () => networkBytes + lease.memoryBytes + pictureBytes();
  return {
    modelId: entry.modelId,
    entry,
    ...{ network, silentMouths, files, avatar, content },
    ...{ encoder: lease.encoder, prepared: prepared.pictures, idle },
    provider: network.provider,
    loadMs: performance.now() - startedAt,
    msPerFrame: network.msPerFrame,
    loadedAtMs: Date.now(),
    get memoryBytes() {
      return memoryBytes();
    },
    get hostBytes() {
      return network.provider.provider === 'cuda' ? pictureBytes() : memoryBytes();
    },
    filesHash: hashOf(files),
    release: () => kept.disposeAsync(),
  };
}

/** @param opened closes what is opened here. */
async function openIdle(
  { entry, prepared }: LoadModelOptions,
  {
    avatar,
    pictures,
    opened,
  }: { readonly avatar: Avatar; readonly pictures: PreparedPictures; readonly opened: AsyncDisposableStack },
): Promise<IdleClip | undefined> {
  const found = hasPictures(entry) ? await openIdlePictures(entry, avatar) : undefined;
  if (!found) return undefined;
  const clip = await prepared.open(`${entry.modelId} (idle clip)`, found, pictures.side);
  opened.defer(clip.release);
  const talk = { prepared: pictures, pixels: (index: number) => avatar.background(index) };
  const shown = { prepared: clip.pictures, pixels: (index: number) => found.background(index) };
  return new IdleClip(talk, shown, prepared.compositor);
}

async function filesOfPictures(entry: ModelConfig): Promise<FileFingerprint[]> {
  return hasPictures(entry) ? [await fingerprintFile(entry.cropRectsPath)] : [];
}

/** Begins to read what has to be read for its hash. The rects are in the keys of the pictures. */
async function openContent(
  { entry, keepsSegments }: LoadModelOptions,
  { hearing, framesPerRun, provider: { provider } }: OnnxLipSyncNetwork,
  networks: readonly FileFingerprint[],
  { pictures, idle, opened }: { pictures: PreparedPictures; idle: IdleClip | undefined; opened: AsyncDisposableStack },
): Promise<ModelContent | undefined> {
  if (!keepsSegments) return undefined;
  const files = networks.map(({ sha256 }) => sha256);
  const behind = await openBehind(entry);
  const settings = [hearing, framesPerRun, entry.blend, pictures.quality, await machineOf(provider), behind.id];
  const content = new ModelContent({ files, settings }, pictures.keys, idle?.keys, behind.file);
  const released = new AbortController();
  opened.defer(() => released.abort());
  const learnt = content.learn(released.signal);
  // What is rendered before it is known is not kept.
  await Promise.race([learnt, delay(LEARN_WITHIN_MS, undefined, { ref: false })]);
  return content;
}

/** What is seen behind pictures with alpha, those of own footage as well. */
async function openBehind({ backdropColour, backdropPicture }: ModelConfig) {
  if (backdropPicture === '') return { id: backdropColour, file: undefined };
  const file = { path: backdropPicture, version: await versionOf(backdropPicture) };
  return { id: (await fingerprintFile(backdropPicture)).sha256, file };
}

function silentMouthsOf(
  network: OnnxLipSyncNetwork,
  files: readonly FileFingerprint[],
  encoder: AudioEncoder,
  { pictures, mouths }: OpenPrepared,
): SilentMouths {
  const networks = files.map(({ sha256 }) => sha256);
  const store = mouths({ networks, provider: network.provider.provider });
  return new SilentMouths({ network, encoder, pictures, store });
}

function hashOf(files: readonly FileFingerprint[]): string {
  const hashes = files.map(({ sha256 }) => sha256);
  return createHash('sha256').update(hashes.join()).digest('hex').slice(0, HASH_LENGTH);
}

/** Opens a model's networks and closes them again. @throws as loadModel does. */
export async function tryNetworks(entry: ModelConfig, settings: RunSettings): Promise<void> {
  const network = await OnnxLipSyncNetwork.open(entry.modelPath, { ...settings, hears: hearingWishes(entry) });
  await network.release();
  await (await openEncoder(network.hearing.kind, entry.audioEncoderPath, settings)).release();
}

/**
 * Loads a single model that shares nothing with others, and prepares only what is asked for. @throws as loadModel does.
 */
export async function loadAlone(
  options: Omit<LoadModelOptions, 'encoders' | 'memory' | 'prepared'>,
): Promise<LoadedModel> {
  const memory = new MemoryProbe(options.providers);
  const prepared = new PreparedAvatars({ ...options.preparing, processes: 0 }, options.cachedFrames);
  const encoders = new SharedEncoders(options, memory);
  return await loadModel({ ...options, keepsSegments: false, memory, prepared, encoders });
}
