import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** `[text](target)` and `![text](target)`. */
const LINK = /\]\(([^)\s]+)\)/g;

test('every link between the documents leads to a file and to a heading in it', () => {
  const dead = globSync('{*.md,docs/**/*.md,examples/*.md}', { cwd: ROOT }).flatMap((file) =>
    linksOf(file)
      .filter((target) => !leadsSomewhere(file, target))
      .map((target) => `${file}: ${target}`),
  );
  assert.deepEqual(dead, []);
});

function linksOf(file: string): string[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  return [...text.matchAll(LINK)].map(([, target = '']) => target).filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(file: string, target: string): boolean {
  const [relative = '', heading] = target.split('#');
  const wanted = relative === '' ? path.join(ROOT, file) : path.join(ROOT, path.dirname(file), relative);
  if (!existsSync(wanted)) return false;
  return heading === undefined || headingsOf(wanted).includes(heading);
}

/** The headings of a document as they stand in links to them. */
function headingsOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => /^#{1,6} /.test(line))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\- ]/gu, '')
        .replaceAll(' ', '-'),
    );
}
