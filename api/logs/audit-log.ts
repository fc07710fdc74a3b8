import { FarmError } from '../../shared/errors/farm-error.ts';
import { currentRequest } from '../request-context.ts';
import type { Lines } from './lines.ts';

/** What somebody may do that changes something. */
export type AuditAction =
  | 'render.submit'
  | 'render.cancel'
  | 'render.retry'
  | 'render.remove'
  | 'gpu.drain'
  | 'gpu.resume'
  | 'host.drain'
  | 'host.undrain'
  | 'host.forget'
  | 'model.load'
  | 'model.unload'
  | 'farm.gc'
  | 'keys.add'
  | 'keys.change'
  | 'keys.remove'
  | 'dashboard.change'
  | 'session.open'
  | 'session.close';

/** What it was done to. */
export type AuditTarget = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** Who did what: one line for each action, also for one that failed. */
export class AuditLog {
  readonly #lines: Lines | undefined;

  constructor(lines?: Lines) {
    this.#lines = lines;
  }

  /** Does an action, and notes who asked for it and what came of it. */
  async noting<T>(action: AuditAction, target: AuditTarget, act: () => Promise<T>): Promise<T> {
    if (!this.#lines) return await act();
    try {
      const result = await act();
      this.note(action, target);
      return result;
    } catch (error) {
      this.note(action, target, FarmError.from(error).code);
      throw error;
    }
  }

  /** @param outcome the code of the error that it ended with. */
  note(action: AuditAction, target: AuditTarget, outcome = 'ok'): void {
    if (!this.#lines) return;
    const { via, address, origin, caller } = currentRequest() ?? {};
    const who = via
      ? { key: caller?.keyName ?? null, role: caller?.role, address, via, request: origin?.request }
      : { via: 'configuration' };
    this.#lines.write({ audit: action, outcome, ...who, ...target }, 'audit');
  }
}
