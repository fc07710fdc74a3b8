import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { type Finding, LostWork, type LostWorkTools } from './lost-work.ts';

/** Two looks that find the same are needed: what lies between two steps looks like a loss for a moment. */
const LOOK_EVERY_MS = 5000;
/** How many waiting segments one look goes over, in the whole farm. */
const SEGMENTS_A_LOOK = 500;
const RENDERS_FURTHER = 10;

/**
 * Looks after all unfinished renders: finds those that nobody works on any more and nobody will, whatever step they had
 * reached, and has them go on or end. So each ends, whatever died and whatever was lost.
 */
export class RenderReconciler {
  readonly #renders: RenderStore;
  readonly #lostWork: LostWork;
  readonly #log: RepeatLog;
  /** What the last look found missing, by render. */
  #found = new Map<string, string>();
  readonly #unreadable = new Set<string>();
  /** Where in the list of renders the next look begins, since it may not get to the segments of all. */
  #begin = 0;

  constructor(tools: LostWorkTools, log: RepeatLog) {
    this.#renders = tools.renders;
    this.#lostWork = new LostWork(tools);
    this.#log = log;
  }

  lookAlways(): Repeated {
    const options = { name: 'look after unfinished renders', everyMs: LOOK_EVERY_MS, log: this.#log };
    return repeat(() => this.look(), options);
  }

  /** Goes over all unfinished renders once, and mends what the look before found as well. */
  async look(): Promise<void> {
    const ids = (await this.#renders.activeIds()).sort();
    this.#begin += RENDERS_FURTHER;
    const begin = this.#begin % Math.max(1, ids.length);
    const inTurn = [...ids.slice(begin), ...ids.slice(0, begin)];
    const found = new Map<string, string>();
    this.#lostWork.beginLook(new Set(ids), SEGMENTS_A_LOOK);
    for (const renderId of inTurn.sort((a, b) => Number(this.#found.has(b)) - Number(this.#found.has(a)))) {
      const finding = await this.#examine(renderId);
      if (!finding) continue;
      if (this.#found.get(renderId) === finding.what) await this.#mend(renderId, finding);
      else found.set(renderId, finding.what);
    }
    this.#found = found;
  }

  async #examine(renderId: string): Promise<Finding | undefined> {
    try {
      const record = await this.#renders.find(renderId);
      if (record && !isTerminal(record.status)) return await this.#lostWork.find(record);
      const what = `counted as unfinished, and it is ${record?.status ?? 'gone'}`;
      return { what, mend: async () => await this.#renders.countAsEnded(renderId) };
    } catch (error) {
      if (!(error instanceof FarmError && error.code === 'record_unreadable')) throw error;
      if (!this.#unreadable.has(renderId)) this.#log.warn({ render: renderId, reason: error.message }, 'left alone');
      this.#unreadable.add(renderId);
      return undefined;
    }
  }

  async #mend(renderId: string, { what, mend }: Finding): Promise<void> {
    this.#log.warn({ render: renderId, found: what }, 'a render that nobody worked on goes on');
    try {
      await mend();
    } catch (error) {
      // It is found again by the looks to come.
      this.#log.warn({ render: renderId, reason: (error as Error).message }, 'it could not go on yet');
    }
  }
}
