import type { GcView } from '../shared/views/gc-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './renders.ts';
import { table } from './table.ts';

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;
const STEP = 1024;

/** `farm gc`: removes what has expired, or with --dry-run says what would go. The exit code is 1 when a removal failed. */
export async function collectExpired(options: FarmOptions & JsonOption & { readonly dryRun?: boolean }): Promise<void> {
  const view = await openFarm(options).collectExpired(options.dryRun ?? false);
  if (options.json) printJson(view);
  else process.stdout.write(describe(view));
  if (view.failed > 0) process.exitCode = 1;
}

function describe({ dry_run, items, count, bytes, failed }: GcView): string {
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

function sizeOf(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(STEP)));
  const value = bytes / STEP ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${UNITS[power]}`;
}
