import { ENTRIES } from './farm-processes.ts';
import { runEntry } from './run-entry.ts';

export interface ImportAvatarOptions {
  readonly id?: string;
  readonly config?: string;
  readonly model?: string;
  readonly audioEncoder?: string;
  readonly checkpoint?: string;
  readonly audio?: string;
  readonly size?: string;
  readonly out?: string;
  readonly preview: boolean;
  readonly masks: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `farm avatar import DIR`: the worker's own code does it. */
export async function importAvatar(folder: string, options: ImportAvatarOptions): Promise<void> {
  const { audioEncoder, preview, masks, force, json, ...others } = options;
  const named = { ...others, 'audio-encoder': audioEncoder };
  const given = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
  const without = [...(preview ? [] : ['--no-preview']), ...(masks ? [] : ['--no-masks'])];
  const flags = [...without, ...(force ? ['--force'] : []), ...(json ? ['--json'] : [])];
  await runEntry(ENTRIES.importAvatar, [...given, ...flags, '--', folder]);
}
