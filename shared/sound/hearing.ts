/** What one lip-sync network hears: a kind of features, and how many of their rows around a frame. */
import { FarmError } from '../errors/farm-error.ts';
import { AUDIO_KIND_FACTS, AUDIO_KINDS, type AudioKind, type RowContext } from './audio-kinds.ts';
import type { HubertChunks } from './hubert-chunks.ts';

export interface Hearing extends RowContext {
  readonly kind: AudioKind;
  /** How the sound is cut for HuBERT; of no effect on the other kinds. */
  readonly hubertChunks: HubertChunks;
}

/** A size of the network's audio input, without the batch; a text or undefined where the file does not fix it. */
export type OpenSize = number | string | undefined;

/** What an entry of `models:` says of what its network hears. */
export interface HearingWishes {
  /** Undefined: as the shapes say. */
  readonly kind?: AudioKind | undefined;
  readonly hubertChunks?: HubertChunks | undefined;
}

/** What networks heard before there was a choice: 16 rows of `ave`. */
export const USUAL_HEARING: Hearing = hearingOf('ave', AUDIO_KIND_FACTS.ave.contexts[0] as RowContext, {});

/** Floats of one audio input. */
export function audioFloats({ shape }: RowContext): number {
  return shape[0] * shape[1] * shape[2];
}

/**
 * What a network hears, told by the shape of its audio input.
 * @param sizes [channels, height, width], as far as the file fixes them.
 * @throws FarmError `model_unusable`: no kind fits, several do and none is named, or another than the named one.
 */
export function hearingOfShape(sizes: readonly OpenSize[], wishes: HearingWishes, path: string): Hearing {
  const fitting = AUDIO_KINDS.flatMap((kind) =>
    AUDIO_KIND_FACTS[kind].contexts.flatMap((context) =>
      fits(sizes, context.shape) ? [hearingOf(kind, context, wishes)] : [],
    ),
  );
  const wanted = fitting.filter(({ kind }) => wishes.kind === undefined || kind === wishes.kind);
  const [hearing, second] = wanted;
  if (hearing && second === undefined) return hearing;
  const found = `${path} takes audio [batch, ${sizes.map((size) => size ?? '?').join(', ')}]`;
  throw new FarmError('model_unusable', `${found}: ${reasonAgainst(fitting, wanted, wishes.kind)}`);
}

function hearingOf(kind: AudioKind, context: RowContext, { hubertChunks = 'long' }: HearingWishes): Hearing {
  return { kind, ...context, hubertChunks };
}

/** Whether sizes, as far as they are fixed, are those of `shape`. */
export function fits(sizes: readonly OpenSize[], shape: readonly number[]): boolean {
  return (
    sizes.length === shape.length &&
    shape.every((size, axis) => typeof sizes[axis] !== 'number' || sizes[axis] === size)
  );
}

function reasonAgainst(fitting: readonly Hearing[], wanted: readonly Hearing[], kind: AudioKind | undefined): string {
  if (wanted.length > 0) {
    const several = wanted.map((one) => `${one.kind} [${one.shape.join(', ')}]`).join(' and ');
    return `${several} fit, so the file must fix these sizes, or audio_features name the kind`;
  }
  if (fitting.length > 0) {
    return `that is ${fitting.map((one) => one.kind).join(' or ')}, and audio_features says ${kind}`;
  }
  const known = AUDIO_KINDS.map((one) => {
    const shapes = AUDIO_KIND_FACTS[one].contexts.map(({ shape }) => `[batch, ${shape.join(', ')}]`);
    return `${one} ${shapes.join(' or ')}`;
  });
  return `no kind of features has that shape; known are ${known.join(', ')}`;
}
