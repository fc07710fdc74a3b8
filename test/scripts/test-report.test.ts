import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { type TestContext, type TestsStream, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TestReport } from '../../scripts/test-report.ts';
import { openWorkspace } from '../models/workspace.ts';

const RUNNER = fileURLToPath(new URL('./reported-run.ts', import.meta.url));

/** What the report says of test files with this content. */
async function reportOf(t: TestContext, files: Record<string, string>) {
  const workspace = await openWorkspace(t);
  for (const [name, code] of Object.entries(files)) {
    await workspace.write(name, `import { describe, test } from 'node:test';\n${code}\n`);
  }
  // A run inside a run would do nothing.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const { stdout } = await promisify(execFile)(process.execPath, [RUNNER], { cwd: workspace.folder, env });
  return JSON.parse(stdout) as { succeeded: boolean; lines: string[] };
}

test('the slowest files and tests come first, each with its place', () => {
  const run = new EventEmitter();
  const report = new TestReport(run as TestsStream, '/farm');
  const ended = (name: string, file: string, duration_ms: number, type = 'test') =>
    run.emit('test:complete', { name, file, line: 3, details: { duration_ms, type } });
  ended('quick', '/farm/test/a.test.ts', 1);
  ended('test/a.test.ts', '/farm/test/a.test.ts', 120);
  ended('slow', '/farm/test/b.test.ts', 2340);
  ended('a group', '/farm/test/b.test.ts', 2400, 'suite');
  ended('test/b.test.ts', '/farm/test/b.test.ts', 2560);
  assert.deepEqual(report.lines(), [
    'Slowest files',
    '    2.6 s  test/b.test.ts',
    '    0.1 s  test/a.test.ts',
    '',
    'Slowest tests',
    '    2.3 s  test/b.test.ts:3  slow',
    '    0.0 s  test/a.test.ts:3  quick',
    '',
  ]);
});

test('files and tests of a real run are told apart', async (t) => {
  const { succeeded, lines } = await reportOf(t, {
    'a.test.mjs': "describe('a group', () => { test('one', () => {}); });",
  });
  assert.ok(succeeded);
  const found = lines.map((line) => line.replace(/^ +\d+\.\d s +/, ''));
  assert.deepEqual(found, ['Slowest files', 'a.test.mjs', '', 'Slowest tests', 'a.test.mjs:2  one', '']);
});

test('what was skipped is named with its reason', async (t) => {
  const { succeeded, lines } = await reportOf(t, {
    'a.test.mjs': [
      "test('one', { skip: 'no such file here' }, () => {});",
      "test('two', (t) => t.skip('no GPU'));",
      "describe('a group', { skip: 'no Python' }, () => { test('three', () => {}); });",
    ].join('\n'),
  });
  assert.ok(succeeded);
  assert.deepEqual(lines.slice(lines.indexOf('Skipped')), [
    'Skipped',
    '  a.test.mjs: one: no such file here',
    '  a.test.mjs: two: no GPU',
    '  a.test.mjs: a group: no Python',
    '',
  ]);
});

for (const [what, code] of Object.entries({
  'a test that fails': "test('bad', () => { throw new Error('no'); });",
  'a file that cannot be loaded': "import 'nothing-of-this-name';",
})) {
  test(`${what} fails the run`, async (t) => {
    const { succeeded } = await reportOf(t, { 'a.test.mjs': code, 'b.test.mjs': "test('good', () => {});" });
    assert.equal(succeeded, false);
  });
}
