/** What a stage of `npm run bench` is and gives. */

/** One line of the table. All figures are of one unit of work, which `name` or `unit` names. */
export interface Row {
  /** Says what was measured, in words; unique in its stage. In the JSON the stage's name stands before it. */
  readonly name: string;
  /** Of median, p10, p90 and limit: 'ms', 'ms/frame', 'frames/s', 'ratio', 'MB', … */
  readonly unit: string;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** CPU milliseconds of one unit of work, over all threads that did it, median; null where it was not taken. */
  readonly cpuMs: number | null;
  /** What the median has to keep to; null where there is no limit. */
  readonly limit: number | null;
  /** 'least': the median should be the limit or more, as frames/s should. */
  readonly limitIs: 'most' | 'least';
}

export interface StageContext {
  /** Root folder of another build of this project to measure beside this one; undefined without `--before`. */
  readonly before: string | undefined;
  /** Ends when the stage's time is up: pass it to what can wait long. */
  readonly signal: AbortSignal;
}

/**
 * A module bench/stages/NAME.ts exports one as `stage`. It runs in a process of its own, with 2 cores to itself where the
 * machine is quiet, and must leave neither processes nor files behind.
 */
export interface Stage {
  /** One line: what it measures, on what. */
  readonly about: string;
  /** Seconds after which it is ended. All stages together have 10 minutes: aim at 20 s and allow for twice as much. */
  readonly limitS: number;
  /** Measures and gives its rows; throws when it cannot. */
  measure(context: StageContext): Promise<readonly Row[]>;
}

export interface Measured {
  readonly name: string;
  readonly unit: string;
  /** One value a round; at least one. */
  readonly values: readonly number[];
  /** CPU milliseconds of each round's unit of work. */
  readonly cpuMs?: readonly number[];
  /** The limit, where more is worse … */
  readonly atMost?: number;
  /** … or where less is worse. */
  readonly atLeast?: number;
}

/** The row of some rounds. RangeError without a value, for a value that is no number, and for two limits. */
export function row({ name, unit, values, cpuMs = [], atMost, atLeast }: Measured): Row {
  if (values.length === 0 || !values.every(Number.isFinite))
    throw new RangeError(`${name}: not all values are numbers`);
  if (atMost !== undefined && atLeast !== undefined) throw new RangeError(`${name} has two limits`);
  return {
    name,
    unit,
    median: quantile(values, 0.5),
    p10: quantile(values, 0.1),
    p90: quantile(values, 0.9),
    cpuMs: cpuMs.length > 0 ? quantile(cpuMs, 0.5) : null,
    limit: atMost ?? atLeast ?? null,
    limitIs: atLeast === undefined ? 'most' : 'least',
  };
}

/** The value below which `share` (0 … 1) of the values lie, between the two nearest where it falls between. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  const place = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** The median as a share of its limit, so that 1 or less is kept, whichever way the limit points. */
export function ratioToLimit({ median, limit, limitIs }: Row): number | undefined {
  if (limit === null) return undefined;
  return limitIs === 'most' ? median / limit : limit / median;
}
