import type { TemplateResult } from 'lit-html';
import { Fault } from './farm.ts';
import { TEXTS } from './texts.ts';

/** A page of the studio: what it shows now, and the work that keeps it up to date while it is open. */
export interface View {
  readonly title: string;
  template(): TemplateResult;
  /** Called once when the page is opened. `changed` draws it again; `closed` is aborted when it is left. */
  open?(changed: () => void, closed: AbortSignal): void;
}

const SLOWEST_MS = 10_000;

interface Keeping {
  readonly everyMs: number;
  readonly closed: AbortSignal;
  readonly tell: (fault: string) => void;
  /** Waits until the next time; a clock unless it is given. */
  readonly wait?: (ms: number) => Promise<void>;
}

/**
 * Does `work` again and again until `closed`, and waits while the page is hidden. After a fault it waits longer and
 * longer, and tells it in words; after a success it tells ''.
 */
export async function keep(
  work: () => Promise<void>,
  { everyMs, closed, tell, wait = (ms) => pause(ms, closed) }: Keeping,
): Promise<void> {
  let waitMs = everyMs;
  while (!closed.aborted) {
    try {
      await work();
      tell('');
      waitMs = everyMs;
    } catch (thrown) {
      tell(faultText(thrown));
      waitMs = Math.min(2 * waitMs, SLOWEST_MS);
    }
    await wait(waitMs);
    if (document.hidden) await visible(closed);
  }
}

/** A fault as one line. */
export function faultText(thrown: unknown): string {
  if (!(thrown instanceof Fault)) throw thrown;
  if (thrown.code === 'farm_unreachable') return TEXTS.away(thrown.message);
  return [thrown.message, thrown.remedy].filter(Boolean).join('. ');
}

function pause(ms: number, closed: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  closed.addEventListener('abort', () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}

function visible(closed: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  document.addEventListener('visibilitychange', () => !document.hidden && resolve(), { signal: closed });
  closed.addEventListener('abort', () => resolve());
  return promise;
}
