/** Runs the test files of the current folder and prints what the report says of them. */
import { globSync } from 'node:fs';
import { run } from 'node:test';
import { TestReport } from '../../scripts/test-report.ts';

const tests = run({ files: globSync('*.test.mjs') });
const report = new TestReport(tests, process.cwd());
for await (const _ of tests);
console.log(JSON.stringify({ succeeded: report.succeeded, lines: report.lines() }));
