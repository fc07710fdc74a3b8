import { z } from 'zod';
import { section } from './value-forms.ts';

/** What the operator may call a machine, and what a path of the HTTP API can name. */
export const HOST_LABEL = /^[\p{L}\p{N}](?:[\p{L}\p{N}._-]{0,251}[\p{L}\p{N}])?$/u;

/** A word that says what a machine has, and what a model needs of it: `a100`, `big-disk`. */
export const hostTag = z.string().regex(/^[\w.-]{1,64}$/, 'a tag has letters, digits, ".", "_" and "-" only');

/** The section `host`: this machine, among those of the farm. */
export const host = section({
  /** Empty: FARM_HOST, else the name that the system gives it. */
  name: z
    .string()
    .regex(new RegExp(`${HOST_LABEL.source}|^$`, 'u'), 'expected a name such as "gpu-host-1"')
    .default(''),
  tags: z.array(hostTag).default([]),
});
