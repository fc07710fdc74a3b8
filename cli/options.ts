import { type Command, InvalidArgumentError } from 'commander';
import { KEY_NAME } from '../shared/api-keys.ts';
import { LABEL_KEY, LABEL_VALUE } from '../shared/limits.ts';
import { FRAME_RATES, type FrameRate } from '../shared/sound/frame-rate.ts';

/** Options that several commands have, and how their words are read. */

/** For commands that speak to a running farm. */
export function speaksToFarm(command: Command): Command {
  return command
    .option(
      '-u, --url <url>',
      'address of the farm (default: FARM_URL, else http.host and http.port of the configuration)',
    )
    .option(
      '-k, --api-key <key>',
      'API key (default: FARM_API_KEY, which other users of this machine cannot see; else the first of auth.api_keys)',
    )
    .option('-c, --config <file>', 'configuration of the farm (default: FARM_CONFIG, else config.yaml here)');
}

export interface JsonOption {
  readonly json?: boolean;
}

/** For commands whose answer programs may read. */
export function speaksJson(command: Command, what = 'print one JSON document'): Command {
  return command.option('--json', what);
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

export function positiveNumber(text: string): number {
  const number = wholeNumber(text);
  if (number === 0) throw new InvalidArgumentError('Expected a whole number from 1.');
  return number;
}

export function frameRate(text: string): FrameRate {
  const rate = FRAME_RATES.find((one) => String(one) === text);
  if (rate === undefined) throw new InvalidArgumentError(`Expected ${FRAME_RATES.join(' or ')}.`);
  return rate;
}

export function keyName(text: string): string {
  if (!KEY_NAME.test(text)) throw new InvalidArgumentError('Expected letters, digits, ".", "_" and "-", 64 at most.');
  return text;
}

/** Adds "key=value" to those that were given before. */
export function label(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || !LABEL_KEY.test(key) || !LABEL_VALUE.test(value)) {
    throw new InvalidArgumentError('Expected key=value, such as project=spring.');
  }
  return { ...before, [key]: value };
}

/** Reads names with commas in between, of those that are `known`; what they all begin with may be left out. */
export function namesOf<N extends string>(known: readonly N[], prefix: string): (text: string) => N[] {
  return (text) =>
    text.split(',').map((name) => {
      const found = known.find((one) => one === name || one === `${prefix}${name}`);
      if (found === undefined) {
        throw new InvalidArgumentError(`Expected, with commas in between: ${known.join(', ').replaceAll(prefix, '')}.`);
      }
      return found;
    });
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time: "2026-11-23", "2026-11-23T10:00:00Z", or so long ago: "30m", "2h", "7d". */
export function time(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const date = count && unit ? new Date(Date.now() - Number(count) * (UNITS_MS[unit] ?? 0)) : new Date(text);
  if (Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError('Expected a date, a time as 2026-11-23T10:00:00Z, or how long ago: 30m, 2h, 7d.');
  }
  return date;
}
