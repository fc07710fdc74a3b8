import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { RemoteFile } from '../model-files/address.ts';
import type { FrameRate } from '../sound/frame-rate.ts';
import type { GateSettings } from '../sound/silence-gate.ts';
import type { ModelEntry } from './model-entry.ts';
import { ModelPlaces, type PathRoots } from './model-places.ts';

/**
 * One resolved entry of `models:`: files as absolute paths, and the problems that keep the model from working on this
 * machine. It is passed on as a whole, from the configuration to the worker that loads it.
 */
export interface ModelConfig {
  readonly modelId: string;
  readonly modelPath: string;
  readonly audioEncoderPath: string;
  /** Folder of the avatar's pictures; "": one beside the source video, made from it. */
  readonly backgroundDir: string;
  readonly cropRectsPath: string;
  /** Video that the pictures are extracted from when there are none; "" when there is none. */
  readonly sourceVideo: string;
  /**
   * Pictures of the faces, cut out already, and the video that they are extracted from; both "" when there are none.
   */
  readonly cropsDir: string;
  readonly cropsVideo: string;
  /** Pictures of the faces from which the mouth is hidden, likewise. */
  readonly roisDir: string;
  readonly roisVideo: string;
  /** Which speech features its network hears; undefined: as the shapes of its file say. */
  readonly audioFeatures: ModelEntry['audio_features'];
  readonly hubertChunks: ModelEntry['hubert_chunks'];
  /** Masks of the pictures, of the same numbers; "" when there are none. */
  readonly masksDir: string;
  /** How mouths meet the pictures around them. */
  readonly blend: ModelEntry['blend'];
  /** What is behind pictures that have alpha: `#rrggbb`, or a picture; both "" when their alpha is left out. */
  readonly backdropColour: string;
  readonly backdropPicture: string;
  /** How videos walk over the pictures, unless a request says otherwise. */
  readonly backgroundMode: ModelEntry['background_mode'];
  /** Frames a second of its videos and streams, unless a request says otherwise; undefined: as its network was trained. */
  readonly frameRate: FrameRate | undefined;
  /** Whether the mouth is closed and still in silence, unless a request says otherwise. */
  readonly silenceGate: boolean;
  /** What counts as silence then. */
  readonly gate: GateSettings;
  /** Pictures that are shown in long silences, and the video that they are extracted from; both "" when there are none. */
  readonly idleDir: string;
  readonly idleVideo: string;
  /** How long a silence lasts until they are shown, in ms. */
  readonly idleAfterMs: number;
  /** Frames to use of the avatar; undefined: all there are. */
  readonly frameLimit: number | undefined;
  readonly preloadModel: boolean;
  readonly preloadBackgrounds: boolean;
  /** GPU number, or undefined for any. */
  readonly preferredGpu: number | undefined;
  /** Tags that a host must have, all of them; empty: any host will do. */
  readonly needs: readonly string[];
  /** Its files that are fetched from addresses, into the places that the fields above name. */
  readonly remote: readonly RemoteFile[];
  /** Why this model cannot work here, as far as its entry alone shows it; empty when no problem was found. */
  readonly problems: readonly string[];
}

/** Resolves one entry of `models:`. */
export function resolveModel(modelId: string, entry: ModelEntry, roots: PathRoots): ModelConfig {
  const places = new ModelPlaces(roots);
  const encoder = entry.audio_encoder_path || roots.audioEncoderPath || 'audio_encoder.onnx';
  places.problems.push(...halfOfAvatar(entry));
  return {
    modelId,
    modelPath: places.locate('model_path', entry.model_path, 'network'),
    audioEncoderPath: places.locate('audio_encoder_path', encoder, 'network'),
    backgroundDir: places.locate('background_dir', entry.background_dir, 'folder'),
    cropRectsPath: places.locate('crop_rects_path', entry.crop_rects_path, 'file'),
    // Whether these files are needed, and exist, is checked with the avatar's files.
    sourceVideo: places.place('source_video', entry.source_video, 'file'),
    cropsDir: places.place('crops_frames_dir', entry.crops_frames_dir, 'folder'),
    cropsVideo: places.place('crops_video_path', entry.crops_video_path, 'file'),
    roisDir: places.place('rois_frames_dir', entry.rois_frames_dir, 'folder'),
    roisVideo: places.place('rois_video_path', entry.rois_video_path, 'file'),
    masksDir: places.place('masks_dir', entry.masks_dir, 'folder'),
    audioFeatures: entry.audio_features,
    hubertChunks: entry.hubert_chunks,
    blend: entry.blend,
    ...backdropOf(entry, places),
    backgroundMode: entry.background_mode,
    frameRate: entry.frames_per_second || undefined,
    ...silenceOf(entry),
    idleDir: places.place('idle_dir', entry.idle_dir, 'folder'),
    idleVideo: places.place('idle_video', entry.idle_video, 'file'),
    frameLimit: entry.num_frames || undefined,
    preloadModel: entry.preload_model || entry.preload,
    preloadBackgrounds: entry.preload_backgrounds,
    ...placesOf(entry),
    remote: places.remote,
    problems: places.problems,
  };
}

/** With neither pictures nor rects it is a network alone, as in the inference server's file. */
function halfOfAvatar({ background_dir, source_video, crop_rects_path }: ModelEntry): string[] {
  const hasFrames = background_dir !== '' || source_video !== '';
  if (hasFrames === (crop_rects_path !== '')) return [];
  return hasFrames
    ? ['crop_rects_path: not set; it names the JSON file of the crop rects']
    : ['background_dir: not set; it names the folder of the avatar frames'];
}

/** Where it may and should be rendered. */
function placesOf({ preferred_gpu, needs }: ModelEntry): Pick<ModelConfig, 'preferredGpu' | 'needs'> {
  return { preferredGpu: preferred_gpu < 0 ? undefined : preferred_gpu, needs: [...new Set(needs)] };
}

function backdropOf(
  { background }: ModelEntry,
  places: ModelPlaces,
): Pick<ModelConfig, 'backdropColour' | 'backdropPicture'> {
  const isColour = background.startsWith('#');
  return {
    backdropColour: isColour ? background.toLowerCase() : '',
    backdropPicture: isColour ? '' : places.place('background', background, 'file'),
  };
}

function silenceOf(entry: ModelEntry): Pick<ModelConfig, 'silenceGate' | 'gate' | 'idleAfterMs'> {
  const gate = {
    openDbfs: entry.silence_open_dbfs,
    closeDbfs: Math.min(entry.silence_close_dbfs, entry.silence_open_dbfs),
    holdMs: entry.silence_hold_ms,
    leadMs: entry.silence_lead_ms,
  };
  return { silenceGate: entry.silence_gate, gate, idleAfterMs: entry.silence_idle_after_ms };
}

/**
 * How each field affects a model in memory: `file`, it is loaded from this file; `pictures`, another setting that
 * changes its pictures; `memory`, how its memory is filled; `handling`, not at all. A new field does not compile until
 * it is here.
 */
const ROLES: Readonly<Record<keyof ModelConfig, 'file' | 'pictures' | 'memory' | 'handling'>> = {
  modelId: 'handling',
  modelPath: 'file',
  audioEncoderPath: 'file',
  backgroundDir: 'file',
  cropRectsPath: 'file',
  sourceVideo: 'file',
  cropsDir: 'file',
  cropsVideo: 'file',
  roisDir: 'file',
  roisVideo: 'file',
  masksDir: 'file',
  audioFeatures: 'pictures',
  hubertChunks: 'pictures',
  blend: 'pictures',
  backdropColour: 'pictures',
  backdropPicture: 'file',
  backgroundMode: 'handling',
  frameRate: 'handling',
  silenceGate: 'handling',
  gate: 'handling',
  idleDir: 'file',
  idleVideo: 'file',
  idleAfterMs: 'handling',
  frameLimit: 'pictures',
  preloadModel: 'handling',
  preloadBackgrounds: 'memory',
  preferredGpu: 'handling',
  needs: 'handling',
  remote: 'handling',
  problems: 'handling',
};

/** Fields that entries once did not have, each with the value that changes nothing: versions are as they were then. */
const LATER: Readonly<Record<string, unknown>> = {
  masksDir: '',
  blend: 'none',
  backdropColour: '',
  backdropPicture: '',
  audioFeatures: undefined,
  hubertChunks: 'long',
  idleDir: '',
  idleVideo: '',
};

/** A version of an entry of `models:`: another one when the model's pictures may differ. */
export function entryVersion(model: ModelConfig): string {
  // What comes from an address is the same on every host, wherever it lies.
  const addresses = new Map(
    model.remote.map(({ path: place, address, sha256 }) => [place, `${address}#${sha256 ?? ''}`]),
  );
  const shaping = fieldsOf(model, ['file', 'pictures'])
    .filter(([field, value]) => LATER[field] !== value)
    .map(([field, value]) => [field, addresses.get(String(value)) ?? value]);
  return createHash('sha256').update(JSON.stringify(shaping)).digest('hex').slice(0, 12);
}

/** Whether both entries load the same model, provided that the files do not change. */
export function loadsTheSame(a: ModelConfig, b: ModelConfig): boolean {
  const roles = ['file', 'pictures', 'memory'];
  return isDeepStrictEqual(fieldsOf(a, roles), fieldsOf(b, roles));
}

/** False for a network alone: it gives mouths for pictures that a client sends, and makes no frames. */
export function hasPictures({
  backgroundDir,
  sourceVideo,
  cropRectsPath,
}: Pick<ModelConfig, 'backgroundDir' | 'sourceVideo' | 'cropRectsPath'>): boolean {
  return backgroundDir !== '' || sourceVideo !== '' || cropRectsPath !== '';
}

/** Whether it has pictures for long silences. */
export function hasIdleClip({ idleDir, idleVideo }: Pick<ModelConfig, 'idleDir' | 'idleVideo'>): boolean {
  return idleDir !== '' || idleVideo !== '';
}

/** All files, folders and videos that the model names. */
export function filesOf(model: ModelConfig): string[] {
  return fieldsOf(model, ['file']).flatMap(([, value]) => (typeof value === 'string' && value !== '' ? [value] : []));
}

function fieldsOf(model: ModelConfig, roles: readonly string[]): [string, unknown][] {
  return Object.entries(ROLES).flatMap(([field, role]) =>
    roles.includes(role) ? [[field, model[field as keyof ModelConfig]]] : [],
  );
}
