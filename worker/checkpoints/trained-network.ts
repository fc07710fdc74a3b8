/** Which network a state dict is of, told by the names and shapes in it. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { AUDIO_KIND_FACTS, AUDIO_KINDS, type AudioKind, type RowContext } from '../../shared/sound/audio-kinds.ts';
import type { StateDict } from './state-dict.ts';

export interface LipSyncLayout {
  readonly role: 'lip-sync network';
  /** S of its pictures. */
  readonly size: 160 | 320;
  /** Channels of its first layer; the others' are multiples. 32 as published. */
  readonly width: number;
  readonly audio: {
    readonly kind: AudioKind;
    /** [channels, height, width] of the features for one frame. */
    readonly shape: readonly [number, number, number];
  };
  /** What else its weights fit, so that they do not tell: networks that hear `ave` and `hubert` have the same. */
  readonly mayHear: readonly AudioKind[];
}

/** What a lip-sync network hears, where its weights do not tell. */
export interface HearingHints {
  /** A network that hears anything else is refused. */
  readonly hears?: AudioKind | undefined;
  /** Counts where it is possible. */
  readonly likely?: AudioKind | undefined;
}

export interface AudioEncoderLayout {
  readonly role: 'audio encoder';
  /** Channels of its first layer; 32 as published, which gives features of 512. */
  readonly width: number;
}

export type NetworkLayout = LipSyncLayout | AudioEncoderLayout;

const MAX_WIDTH = 128;
/** First layers, by which each network is known. */
const PICTURE_LAYER = /^inc\.inconv\.(?:0\.)?conv\.0\.weight$/;
const SOUND_LAYER = 'audio_model.conv1.conv.0.weight';
const SECOND_SOUND_LAYER = 'audio_model.conv2.conv.0.weight';
const OUTPUT_LAYER = 'outc.conv.weight';
const ENCODER_LAYER = '0.conv_block.0.weight';
/** Names that a message lists. */
const LISTED = 6;

/**
 * @throws FarmError `model_unusable`: it is of no network that is known; says what it has.
 */
export function recogniseNetwork(dict: StateDict, path: string, { hears, likely }: HearingHints = {}): NetworkLayout {
  const encoderWidth = dict.get(ENCODER_LAYER)?.shape[0];
  if (encoderWidth !== undefined) return { role: 'audio encoder', width: requireWidth(encoderWidth, path) };
  const pictureLayer = [...dict.keys()].find((name) => PICTURE_LAYER.test(name));
  const sound = dict.get(SOUND_LAYER)?.shape;
  const shape = pictureLayer === undefined ? undefined : dict.get(pictureLayer)?.shape;
  if (shape === undefined || sound === undefined || !dict.has(OUTPUT_LAYER)) throw unknown(dict, path);
  // The layer widens what it gets twofold; the layer after that makes the network's width of it.
  const width = requireWidth(dict.get(pictureLayer?.replace(/0\.weight$/, '6.weight') ?? '')?.shape[0] ?? 0, path);
  const channels = sound[1] ?? 0;
  const second = dict.get(SECOND_SOUND_LAYER)?.shape[1];
  // Only networks that hear wenet have 8 times their width after the first layer of the sound.
  const mayHear = second === width * 8 ? (['wenet'] as const) : convolvedKinds(channels);
  const kind = hears ?? mayHear.find((one) => one === likely) ?? mayHear[0];
  if (kind === undefined || !mayHear.some((one) => one === kind)) {
    const what = mayHear.length === 0 ? 'nothing that is known' : mayHear.join(' or ');
    throw new FarmError(
      'model_unusable',
      `${path} takes speech features of ${channels} channels, as ${what} has them${hears ? `, not ${hears}` : ''}`,
    );
  }
  const [, high, wide] = (AUDIO_KIND_FACTS[kind].contexts[0] as RowContext).shape;
  const size = [...dict.keys()].some((name) => name.startsWith('down5.')) ? 320 : 160;
  return { role: 'lip-sync network', size, width, audio: { kind, shape: [channels, high, wide] }, mayHear };
}

/** Of the kinds whose networks begin alike, those whose features have so many channels. */
function convolvedKinds(channels: number): readonly AudioKind[] {
  const fits = (kind: AudioKind) => AUDIO_KIND_FACTS[kind].contexts.some(({ shape }) => shape[0] === channels);
  return AUDIO_KINDS.filter((kind) => kind !== 'wenet' && fits(kind));
}

/** Of the published networks, in a few words: "S = 320, hears ave". */
export function describeLayout(layout: NetworkLayout): string {
  if (layout.role === 'audio encoder') return layout.role;
  return `${layout.role}, S = ${layout.size}, hears ${layout.audio.kind}`;
}

function requireWidth(width: number, path: string): number {
  if (Number.isInteger(width) && width >= 2 && width % 2 === 0 && width <= MAX_WIDTH) return width;
  throw new FarmError('model_unusable', `${path} has a first layer of ${width} channels: 2 to ${MAX_WIDTH} are known`);
}

function unknown(dict: StateDict, path: string): FarmError {
  const names = [...dict.keys()];
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return new FarmError(
    'model_unusable',
    `${path} is no network of SyncTalk_2D or Ultralight-Digital-Human: these have ${SOUND_LAYER}, inc.inconv.… and ${OUTPUT_LAYER}, or ${ENCODER_LAYER} for the audio encoder; it has ${names.slice(0, LISTED).join(', ')}${more}`,
  );
}
