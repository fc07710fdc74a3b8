import { z } from 'zod';
import { ROLES } from '../api-keys.ts';

/** Whose key a request carries, and what that may do. */
export const sessionViewSchema = z
  .object({
    /** Name of the API key; null on a farm without keys. */
    key: z.string().nullable(),
    role: z.enum(ROLES),
    /** Whether a browser has signed in with the key, and can sign out. */
    signed_in: z.boolean(),
  })
  .meta({ id: 'Session' });
export type SessionView = z.infer<typeof sessionViewSchema>;
