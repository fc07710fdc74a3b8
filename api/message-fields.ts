import { z } from 'zod';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { JPEG_QUALITY, SAMPLE_RATE_HZ_RANGE } from '../shared/limits.ts';
import { FRAME_RATES } from '../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../shared/sound/rates.ts';
import { modelIdOf } from './model-id.ts';

/** Checks of message fields that several messages have in common. Proto3 sends 0 and "" for what was left out. */

const MODES = { BACKGROUND_OF_MODEL: undefined, PING_PONG: 'ping-pong', LOOP: 'loop', HOLD: 'hold' } as const;

const GATES = { GATE_OF_MODEL: undefined, GATE_ON: true, GATE_OFF: false } as const;

/** A schema that is made once for each configuration: making one, and its first use, take milliseconds. */
export function onceFor<C extends object, S>(make: (config: C) => S): (config: C) => S {
  const made = new WeakMap<object, S>();
  return (config) => {
    const schema = made.get(config) ?? make(config);
    made.set(config, schema);
    return schema;
  };
}

const integer = (min: number, max: number, expected: string) =>
  z.int().refine((value) => value >= min && value <= max, {
    error: ({ input }) => `got ${input}, expected ${expected}`,
  });

/** A whole number from `min` to `max`. */
export const between = (min: number, max: number) => integer(min, max, `${min} to ${max}`);

/** A whole number from 0 on. */
export const notNegative = integer(0, 2 ** 31 - 1, '0 or more');

/** A whole number in a range; 0 stands for `fallback`. */
const orDefault = (min: number, max: number, fallback: number) =>
  z
    .int()
    .refine((value) => value === 0 || (value >= min && value <= max), {
      error: ({ input }) => `got ${input}, expected ${min} to ${max}, or 0 for ${fallback}`,
    })
    .transform((value) => value || fallback);

/** One of the names of an enum; a number that has no name arrives as a number. */
export const oneOf = <const N extends readonly [string, ...string[]]>(names: N) =>
  z.enum(names, { error: ({ input }) => `got ${input}, expected ${names.join(' or ')}` });

/** How pictures are walked over; undefined: as the model says. */
export const backgroundMode = oneOf(['BACKGROUND_OF_MODEL', 'PING_PONG', 'LOOP', 'HOLD'])
  .default('BACKGROUND_OF_MODEL')
  .transform((name) => MODES[name]);

/** Frames a second; undefined for 0: as the model says. */
export const frameRate = z
  .literal([0, ...FRAME_RATES], { error: ({ input }) => `got ${input}, expected ${FRAME_RATES.join(' or ')}, or 0` })
  .default(0)
  .transform((rate) => rate || undefined);

/** Whether the mouth is closed and still in silence; undefined: as the model says. */
export const silenceGate = oneOf(['GATE_OF_MODEL', 'GATE_ON', 'GATE_OFF'])
  .default('GATE_OF_MODEL')
  .transform((name) => GATES[name]);

export const sampleRate = orDefault(SAMPLE_RATE_HZ_RANGE.min, SAMPLE_RATE_HZ_RANGE.max, SAMPLE_RATE_HZ);

export const jpegQuality = (config: Config) =>
  orDefault(JPEG_QUALITY.min, JPEG_QUALITY.max, config.output.jpeg_quality);

/** A model's name; may be left out when there is only one. Whether there is such a model is found out later. */
export const modelId = (config: Config) => z.string().transform((named) => modelIdOf(config, named));

/** The message in its checked form, or FarmError('request_invalid') that names each wrong field, got and expected. */
export function checkMessage<T extends z.ZodType>(schema: T, message: unknown): z.output<T> {
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new FarmError('request_invalid', faults.join('; '));
}
