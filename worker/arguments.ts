import { parseArgs } from 'node:util';
import { z } from 'zod';
import { hostTag } from '../shared/config/host-section.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { LAST_GPU } from '../shared/limits.ts';

/** What a worker process does: it serves the queue of one GPU, whose number it may claim itself, or those of the media workers. */
export type Role = { readonly gpuId: number | 'auto' } | 'media';

/** With the number that it has claimed. */
export type NumberedRole = { readonly gpuId: number } | 'media';

export interface WorkerArguments {
  readonly role: Role;
  /** Tags of this host, beside those of the configuration. */
  readonly tags: readonly string[];
  /** Where the process shows how it is; absent: nowhere. */
  readonly health: string | undefined;
}

const OPTIONS = {
  gpu: { type: 'string' },
  media: { type: 'boolean' },
  tags: { type: 'string' },
  health: { type: 'string' },
} as const;

/** The command line of a worker. FarmError('config_invalid'). */
export function readArguments(args: readonly string[] = process.argv.slice(2)): WorkerArguments {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const tags = z.array(hostTag).safeParse(values.tags?.split(',').map((tag) => tag.trim()) ?? []);
  if (!tags.success) throw new FarmError('config_invalid', `--tags: ${tags.error.issues[0]?.message}`);
  return { role: roleOf(values.gpu, values.media ?? false), tags: tags.data, health: values.health };
}

function roleOf(gpu: string | undefined, media: boolean): Role {
  if (media && gpu === undefined) return 'media';
  if (!media && gpu !== undefined && /^\d+$/.test(gpu) && Number(gpu) <= LAST_GPU) return { gpuId: Number(gpu) };
  if (!media && gpu === 'auto') return { gpuId: gpu };
  throw new FarmError('config_invalid', 'Start a worker with --gpu N (N = 0, 1, …), with --gpu auto or with --media');
}
