/** What the farm keeps, and for how long: pure decisions, on facts that others have read. */

import { DAY_MS, GB, HOUR_MS } from '../units.ts';

/** The section `retention` of the configuration. 0 is for ever, or without a limit. */
export interface RetentionRules {
  readonly completed_days: number;
  readonly failed_days: number;
  readonly max_stored_gb: number;
  readonly orphan_hours: number;
}

/** A render that has ended, as its record says. Its age is by the clock of Redis. */
export interface EndedRender {
  readonly renderId: string;
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly endedAgoMs: number;
}

/** A file or folder inside the folder of a render. */
export interface Part {
  readonly name: string;
  readonly bytes: number;
  /** Since it was last written, by the clock of the store. */
  readonly quietMs: number;
}

/** The folder of a render, with what lies directly in it. */
export interface RenderFolder {
  readonly name: string;
  /** Since anything directly in it was last written, by the clock of the store. */
  readonly quietMs: number;
  readonly bytes: number;
  readonly parts: readonly Part[];
}

export interface Facts {
  readonly ended: readonly EndedRender[];
  /** Folders under `renders/`. */
  readonly folders: readonly RenderFolder[];
  /** Names of the folders whose render has a record, whatever that says. */
  readonly recorded: ReadonlySet<string>;
}

export type Leftover =
  /** A render, its record and its files. */
  | { readonly kind: 'render'; readonly id: string; readonly bytes: number; readonly reason: string }
  /** Files whose render has no record. `id` is the name of the folder. */
  | { readonly kind: 'files'; readonly id: string; readonly bytes: number; readonly reason: string }
  /** Files of a cancelled render, whose record stays. */
  | { readonly kind: 'cancelled-files'; readonly id: string; readonly bytes: number; readonly reason: string }
  /** A file of a render that is kept, which nobody needs. `id` is a path below `renders/`. */
  | { readonly kind: 'part'; readonly id: string; readonly bytes: number; readonly reason: string };

/** What only a render needs that still runs, or may be tried again. */
const PARTS_OF_WORK: ReadonlySet<string> = new Set(['upload', 'audio.f32', 'sound.s16', 'segments', 'preview.jpg']);
const RECEIPT = 'receipt.json';
const UNWANTED = '.unwanted';

/**
 * What is to go, oldest first within each kind of reason. A render that has not ended is never in it, nor is one whose
 * record cannot be read. A result without a record counts as a completed render: Redis may have lost the record.
 */
export function findLeftovers(facts: Facts, rules: RetentionRules): Leftover[] {
  const folders = new Map(facts.folders.map((folder) => [folder.name, folder]));
  const endedIds = new Set(facts.ended.map(({ renderId }) => renderId));
  const found = [
    ...facts.ended.flatMap((render) => judgeRender(render, folders.get(render.renderId), facts, rules)),
    ...facts.folders
      .filter(({ name }) => !facts.recorded.has(name) && !endedIds.has(name))
      .flatMap((folder) => judgeUnrecorded(folder, rules)),
  ];
  return [...found, ...findOverSize(facts, folders, found, rules)];
}

function judgeRender(
  render: EndedRender,
  folder: RenderFolder | undefined,
  { folders }: Facts,
  rules: RetentionRules,
): Leftover[] {
  const { renderId: id, status, endedAgoMs } = render;
  const days = status === 'completed' ? rules.completed_days : rules.failed_days;
  const bytes = folder?.bytes ?? 0;
  if (isOver(endedAgoMs, days * DAY_MS)) return [{ kind: 'render', id, bytes, reason: `${status} ${ago(endedAgoMs)}` }];
  if (!isOver(endedAgoMs, rules.orphan_hours * HOUR_MS)) return [];
  // A store without a single folder may be one that is not mounted.
  if (status === 'completed' && !hasResult(folder) && folders.length > 0) {
    return [{ kind: 'render', id, bytes, reason: `completed ${ago(endedAgoMs)}, and its files are gone` }];
  }
  if (!folder || !isOver(folder.quietMs, rules.orphan_hours * HOUR_MS)) return [];
  if (status === 'cancelled') return [{ kind: 'cancelled-files', id, bytes, reason: `cancelled ${ago(endedAgoMs)}` }];
  return folder.parts.filter((part) => isUnneeded(part, status, rules)).map((part) => toLeftover(id, part, status));
}

function isUnneeded({ name, quietMs }: Part, status: EndedRender['status'], rules: RetentionRules): boolean {
  if (!isOver(quietMs, rules.orphan_hours * HOUR_MS)) return false;
  return name.startsWith('.') || (status === 'completed' && PARTS_OF_WORK.has(name));
}

function toLeftover(id: string, { name, bytes, quietMs }: Part, status: string): Leftover {
  const what = name.startsWith('.') ? 'half written' : `of a ${status} render, which needs it no more`;
  return { kind: 'part', id: `${id}/${name}`, bytes, reason: `${what}, untouched for ${lengthOf(quietMs)}` };
}

function judgeUnrecorded(folder: RenderFolder, rules: RetentionRules): Leftover[] {
  const { name: id, bytes, quietMs } = folder;
  const result = isResult(folder);
  const limitMs = result ? rules.completed_days * DAY_MS : rules.orphan_hours * HOUR_MS;
  if (!isOver(quietMs, limitMs)) return [];
  const what = result ? 'a result without a record' : 'files without a record';
  return [{ kind: 'files', id, bytes, reason: `${what}, untouched for ${lengthOf(quietMs)}` }];
}

function hasResult(folder: RenderFolder | undefined): boolean {
  return folder?.parts.some(({ name }) => name === RECEIPT) ?? false;
}

/** A folder that is being removed has a hidden name, or a mark in it: what is in it is no result any more. */
function isResult(folder: RenderFolder): boolean {
  const { name, parts } = folder;
  return hasResult(folder) && !name.startsWith('.') && !parts.some((part) => part.name === UNWANTED);
}

/** The oldest ended renders and results, until the rest is small enough. */
function findOverSize(
  { ended, folders, recorded }: Facts,
  byName: ReadonlyMap<string, RenderFolder>,
  going: readonly Leftover[],
  { max_stored_gb }: RetentionRules,
): Leftover[] {
  if (max_stored_gb === 0) return [];
  const gone = new Set(going.map(({ id }) => id));
  let bytes =
    folders.reduce((sum, folder) => sum + folder.bytes, 0) - going.reduce((sum, leftover) => sum + leftover.bytes, 0);
  const renders = ended
    .filter(({ status }) => status !== 'cancelled')
    .map(({ renderId: id, endedAgoMs: agoMs }) => ({ kind: 'render' as const, id, agoMs }));
  const results = folders
    .filter((folder) => !recorded.has(folder.name) && isResult(folder))
    .map(({ name: id, quietMs: agoMs }) => ({ kind: 'files' as const, id, agoMs }));
  const found: Leftover[] = [];
  for (const { kind, id, agoMs } of [...renders, ...results].sort((a, b) => b.agoMs - a.agoMs)) {
    if (bytes <= max_stored_gb * GB) break;
    const own = byName.get(id)?.bytes ?? 0;
    if (gone.has(id) || own === 0) continue;
    bytes -= own;
    const reason = `ended ${ago(agoMs)}, the oldest while more than ${max_stored_gb} GB are stored`;
    found.push({ kind, id, bytes: own, reason });
  }
  return found;
}

/** False for a limit of 0, which is for ever. */
function isOver(ageMs: number, limitMs: number): boolean {
  return limitMs > 0 && ageMs > limitMs;
}

function ago(ageMs: number): string {
  return `${lengthOf(ageMs)} ago`;
}

function lengthOf(ageMs: number): string {
  if (ageMs >= 2 * DAY_MS) return `${Math.floor(ageMs / DAY_MS)} days`;
  if (ageMs >= HOUR_MS) return `${Math.floor(ageMs / HOUR_MS)} h`;
  return `${Math.floor(ageMs / 1000)} s`;
}
