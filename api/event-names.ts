import { z } from 'zod';
import { unknownName } from '../shared/errors/faulty-input.ts';

/** Names of events that a client wants, each once. One that is not known is refused with those that are. */
export const eventNames = <N extends string>(known: readonly N[]) =>
  z
    .array(z.enum(known as readonly [N, ...N[]], { error: ({ input }) => unknownName('event', String(input), known) }))
    .min(1, 'expected at least one event')
    .transform((names) => [...new Set(names)]);

/** The same in one text, with commas in between. */
export const eventNamesInText = <N extends string>(known: readonly N[]) =>
  z
    .string()
    .transform((text): unknown => text.split(','))
    .pipe(eventNames(known))
    .meta({ type: 'string', description: `With commas in between: ${known.join(', ')}` });
