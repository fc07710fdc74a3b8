import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Hosts, KeyFarm } from './key-farm.ts';

/** Looks at what comes out of the farm, and fails unless the key shows in it. */
export type KeyCheck<B> = (bench: B) => Promise<void>;

/** One farm, with the keys that show in what comes out of it. */
export interface KeyTable<B extends { readonly farm: KeyFarm }> {
  readonly title: string;
  readonly hosts?: Hosts;
  /** Starts the farm and does what all checks need; a check finds it in the state that the one before has left. */
  readonly start: (farm: KeyFarm) => Promise<B>;
  /** By dotted key, `demo` standing for the id of a model; several keys that show together are parted by spaces. */
  readonly checks: Readonly<Record<string, KeyCheck<B>>>;
  /** By keys as in `checks`: why this machine cannot make that one; false where it can. */
  readonly skips?: Readonly<Record<string, string | false>>;
  /** Checks of what a farm has said and done once it has ended. */
  readonly afterTheEnd?: Readonly<Record<string, KeyCheck<B>>>;
}

export function keysIn(table: Pick<KeyTable<never>, 'checks' | 'afterTheEnd'>): string[] {
  return [...Object.keys(table.checks), ...Object.keys(table.afterTheEnd ?? {})].flatMap((keys) => keys.split(' '));
}

/**
 * One test a key, all on one farm.
 * @param others further tests on the same farm, before it ends.
 */
export function testKeys<B extends { readonly farm: KeyFarm }>(
  table: KeyTable<B>,
  others: (test: typeof it, bench: () => B) => void = () => {},
): void {
  describe(table.title, () => {
    let bench: B;
    let farm: KeyFarm | undefined;
    before(async () => {
      farm = await KeyFarm.prepare(table.hosts);
      bench = await table.start(farm);
    });
    after(() => farm?.[Symbol.asyncDispose]());

    for (const [keys, check] of Object.entries(table.checks)) {
      it(keys, { skip: table.skips?.[keys] ?? false }, () => check(bench));
    }
    others(it, () => bench);
    for (const [keys, check] of Object.entries(table.afterTheEnd ?? {})) {
      it(`${keys}, at the end`, async () => {
        await bench.farm.stop();
        await check(bench);
      });
    }
    it('the farm had all of these keys in its file', () => {
      const { keysSet } = bench.farm;
      const skipped = Object.entries(table.skips ?? {}).flatMap(([keys, why]) => (why ? keys.split(' ') : []));
      const absent = keysIn(table).filter((key) => !keysSet.has(key) && !skipped.includes(key));
      assert.deepEqual(absent, []);
    });
  });
}
