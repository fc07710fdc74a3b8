import { loadConfig } from '../shared/config/load.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { runEntry } from './run-entry.ts';
import { ENTRIES } from './supervisor/farm-processes.ts';

export interface ImportAvatarOptions {
  readonly id?: string;
  readonly config?: string;
  readonly model?: string;
  readonly audioEncoder?: string;
  readonly checkpoint?: string;
  readonly audio?: string;
  readonly size?: string;
  readonly out?: string;
  readonly seconds?: string;
  readonly preview: boolean;
  readonly masks: boolean;
  readonly report: boolean;
  readonly strict?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `farm avatar import DIR`: the worker's own code does it. */
export async function importAvatar(folder: string, options: ImportAvatarOptions): Promise<void> {
  const { audioEncoder, preview, masks, report, strict, force, json, ...others } = options;
  const named = { ...others, 'audio-encoder': audioEncoder };
  const given = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
  const flags = chosen({
    'no-preview': !preview,
    'no-masks': !masks,
    'no-report': !report,
    ...{ strict, force, json },
  });
  await runEntry(ENTRIES.importAvatar, [...given, ...flags, '--', folder]);
}

export interface CheckAvatarOptions {
  readonly config?: string;
  readonly report?: string;
  readonly speech?: string;
  readonly seconds?: string;
  readonly preview: boolean;
  readonly strict?: boolean;
  readonly json?: boolean;
}

/** `farm avatar check ID`: likewise. */
export async function checkAvatar(modelId: string, options: CheckAvatarOptions): Promise<void> {
  const { preview, strict, json, ...named } = options;
  await buildDemoAvatar(loadConfig(options.config));
  const given = Object.entries(named).map(([name, value]) => `--${name}=${value}`);
  const flags = chosen({ 'no-preview': !preview, strict, json });
  await runEntry(ENTRIES.checkAvatar, [...given, ...flags, '--', modelId]);
}

/** The names that are set, as flags. */
function chosen(flags: Readonly<Record<string, boolean | undefined>>): string[] {
  return Object.entries(flags).flatMap(([name, isSet]) => (isSet ? [`--${name}`] : []));
}
