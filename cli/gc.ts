import type { GcView } from '../shared/views/gc-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { sizeOf } from './sizes.ts';
import { table } from './table.ts';

export interface GcOptions extends FarmOptions, JsonOption {
  readonly dryRun?: boolean;
  /** Whether all kept segments go as well. */
  readonly cache?: boolean;
}

/** `farm gc`: removes what has expired, or with --dry-run says what would go. The exit code is 1 when a removal failed. */
export async function collectExpired(options: GcOptions): Promise<void> {
  const view = await openFarm(options).collectExpired(options.dryRun ?? false, { cache: options.cache ?? false });
  if (options.json) printJson(view);
  else process.stdout.write(describe(view) + (options.cache && !view.dry_run ? 'What was kept is removed.\n' : ''));
  if (view.failed > 0) process.exitCode = 1;
}

function describe(view: GcView): string {
  return describeExpired(view) + describeKept(view);
}

function describeKept({ segment_cache }: GcView): string {
  if (!segment_cache) return '';
  const { entries, bytes, limit_bytes } = segment_cache;
  if (entries === 0) return 'No segments are kept for later renders.\n';
  return `${entries} segments are kept for later renders, ${sizeOf(bytes)} of ${sizeOf(limit_bytes)} at most.\n`;
}

function describeExpired({ dry_run, items, count, bytes, failed }: GcView): string {
  if (count === 0) return 'Nothing has expired.\n';
  const rows = [
    ['WHAT', 'ID', 'SIZE', 'WHY'],
    ...items.map(({ kind, id, bytes: size, reason, fault }) => [
      kind,
      id,
      sizeOf(size),
      fault === null ? reason : `${reason}; still there: ${fault}`,
    ]),
  ];
  const rest = count > items.length ? `… and ${count - items.length} more\n` : '';
  const verb = dry_run ? 'would go' : 'removed';
  const faults = failed > 0 ? `; ${failed} could not be removed` : '';
  return `${table(rows)}\n${rest}\n${count - failed} ${verb}, ${sizeOf(bytes)}${faults}\n`;
}
