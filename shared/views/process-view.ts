import { z } from 'zod';

/** A process of `farm up`, as its supervisor tells of it and as `/v1/gpus` shows it. */
export const processStateSchema = z.object({
  name: z.string(),
  /** `waiting`: it has ended, and is started again after a while. */
  state: z.enum(['starting', 'running', 'waiting']),
  /** How often in a row it has ended without having run steadily. */
  restarts: z.int().nonnegative(),
  /** How it ended last, in words; null when it never did. */
  last_end: z.string().nullable(),
});
export type ProcessState = z.infer<typeof processStateSchema>;
