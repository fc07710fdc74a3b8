import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findSilentFaults } from './silent-faults.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PRODUCT = '{api,avatars,cli,client,scripts,shared,studio,worker}/**/*.{ts,mjs}';

describe('faults', () => {
  it('are never let go without a word in the product', () => {
    const files = globSync(PRODUCT, { cwd: ROOT });
    const wrong = files.flatMap((path) => findSilentFaults({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
    const how = 'say why with ignored(…), or log it with logged(…) of shared/process/unheard.ts';
    assert.deepEqual(wrong, [], `faults are let go in silence: ${how}`);
  });

  const SILENT = [
    'work.catch(() => {});',
    'work.catch(() => undefined);',
    'work.catch(async () => {\n});',
    'work.catch((error) => {});',
    'work.catch(() => ({ mtimeMs: 0 }));',
    'work.catch(() => fallback);',
    'work.catch((): string[] => []);',
    "stream.on('error', () => {});",
    'work.then((value) => value, () => undefined);',
    'new Publisher(redis, job, () => {});',
    'try { work(); } catch {}',
    'try { work(); } catch {\n  return undefined;\n}',
    'try { work(); } catch (error) {\n  return false;\n}',
    "work.catch(ignored(''));",
    'work.catch(logged());',
  ];
  for (const text of SILENT) {
    it(`are found where nothing is said of them: ${text}`, () => {
      assert.deepEqual(findSilentFaults({ path: 'x.ts', text: `\n${text}` }), ['x.ts:2']);
    });
  }

  it('may be named, thrown on, handled, or answered with a reason', () => {
    const text = [
      "work.catch(ignored('it expires by itself'));",
      "work.catch(logged('could not remove a draft'));",
      'delay(5).catch(() => signal.throwIfAborted());',
      'work.catch(() => {\n  throw new Error();\n});',
      'work.catch((error: Error) => say(error));',
      'try { work(); } catch (error) {\n  say(error);\n}',
      'try { work(); } catch {\n  return undefined; // Not there yet.\n}',
      "once(child, 'close').then(() => {});",
      '// work.catch(() => {});',
    ].join('\n');
    assert.deepEqual(findSilentFaults({ path: 'x.ts', text }), []);
  });
});
