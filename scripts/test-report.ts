import { relative, resolve } from 'node:path';
import type { TestsStream } from 'node:test';

/** What a run took and left out, gathered while it runs: `npm test` prints it below the results. */

const LONGEST_FILES = 8;
const LONGEST_TESTS = 8;

/** A test that measures says `t.diagnostic('figure: …')`; these lines are printed together at the end. */
const FIGURE = 'figure: ';

interface Timed {
  readonly name: string;
  readonly durationMs: number;
}

export class TestReport {
  readonly #root: string;
  readonly #files: Timed[] = [];
  readonly #tests: Timed[] = [];
  readonly #skipped: string[] = [];
  readonly #figures: string[] = [];
  #succeeded = false;

  /** Listens to a run of the test files below `root`. */
  constructor(run: TestsStream, root: string) {
    this.#root = root;
    run.on('test:complete', ({ name, file = name, line, skip, details }) => {
      const { duration_ms: durationMs, type } = details;
      if (resolve(root, name) === file) this.#files.push({ name: this.#short(file), durationMs });
      else if (skip) this.#skipped.push(`${this.#short(file)}: ${name}${skip === true ? '' : `: ${skip}`}`);
      else if (type !== 'suite') this.#tests.push({ name: `${this.#short(file)}:${line}  ${name}`, durationMs });
    });
    run.on('test:diagnostic', ({ message }) => {
      if (message.startsWith(FIGURE)) this.#figures.push(message.slice(FIGURE.length));
    });
    // One for each file, then one for the whole run.
    run.on('test:summary', ({ file, success }) => {
      if (file === undefined) this.#succeeded = success;
    });
  }

  /** False as long as the run has not ended well. */
  get succeeded(): boolean {
    return this.#succeeded;
  }

  /** What was measured, the slowest files and tests, and what was skipped with the reason, as lines for people. */
  lines(): string[] {
    return [
      ...section('Measured', this.#figures),
      ...section('Slowest files', longest(this.#files, LONGEST_FILES)),
      ...section('Slowest tests', longest(this.#tests, LONGEST_TESTS)),
      ...section('Skipped', this.#skipped),
    ];
  }

  #short(file: string): string {
    return relative(this.#root, file);
  }
}

function longest(timed: readonly Timed[], count: number): string[] {
  return timed
    .toSorted((a, b) => b.durationMs - a.durationMs)
    .slice(0, count)
    .map(({ name, durationMs }) => `${(durationMs / 1000).toFixed(1).padStart(5)} s  ${name}`);
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ''];
}
