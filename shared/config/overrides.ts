import { parse } from 'yaml';
import { FarmError } from '../errors/farm-error.ts';

/**
 * Lays FARM_SECTION__KEY variables over the values of the configuration file.
 * `FARM_HTTP__PORT=9000` sets http.port; values are read as YAML, so `true`, `12` and `[cpu]` mean what they say there.
 * Model ids are matched without regard to case, since environment variables are written in capitals.
 */
export function applyOverrides(values: Record<string, unknown>, overrides: ReadonlyMap<string, string>): void {
  for (const [name, text] of overrides) {
    const path = name.slice('FARM_'.length).toLowerCase().split('__');
    let target = values;
    for (const step of path.slice(0, -1)) {
      const key = existingKey(target, step);
      const next = target[key] ?? {};
      if (typeof next !== 'object' || Array.isArray(next)) {
        throw new FarmError('config_invalid', `${name}: ${key} is a value, not a section`);
      }
      // A copy, since a YAML alias lets two keys hold the same section.
      const section = { ...next } as Record<string, unknown>;
      target[key] = section;
      target = section;
    }
    const leaf = path.at(-1);
    if (leaf) target[existingKey(target, leaf)] = scalar(text);
  }
}

function existingKey(target: Record<string, unknown>, lowered: string): string {
  return Object.keys(target).find((key) => key.toLowerCase() === lowered) ?? lowered;
}

function scalar(text: string): unknown {
  try {
    return parse(text, { logLevel: 'error' });
  } catch {
    return text; // No YAML: a plain text, which the schema judges.
  }
}
