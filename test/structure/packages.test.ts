import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pinned } from '../../scripts/pin-images.ts';
import { noticesText } from '../../scripts/third-party-notices.ts';
import { importsOf } from './source-imports.ts';

/** What comes from others: declared, used, at one exact version, checked on arrival, and under a licence that is named. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What is not needed to run a farm, and may use devDependencies. */
const DEVELOPMENT = /^(?:test|bench|scripts)\//;
/** Packages that are used without an import. */
const NOT_IMPORTED: Readonly<Record<string, string>> = {
  '@biomejs/biome': 'its command checks the sources',
  assemblyscript: 'its command compiles the kernels',
  s3rver: 'it has no types, so the tests that start it require it',
  typescript: 'its command checks the types',
  '@bull-board/ui': 'the pages that @bull-board/api serves, which asks for it by name',
  '@types/node': 'types of Node',
  '@types/fluent-ffmpeg': 'types of fluent-ffmpeg',
  '@types/ws': 'types of ws',
};

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly overrides: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, Partial<Manifest> & { integrity?: string; resolved?: string; hasInstallScript?: boolean }>
  >;
}

const manifest = readJson<Manifest>('package.json');
const lock = readJson<Lock>('package-lock.json');

describe('packages of others', () => {
  const used = usedPackages();

  it('are declared where they are imported: what a farm runs with is no devDependency', () => {
    const allowed = (path: string, name: string) =>
      name in manifest.dependencies || (DEVELOPMENT.test(path) && name in manifest.devDependencies);
    const undeclared = used.filter(({ path, name }) => !allowed(path, name));
    assert.deepEqual(undeclared, []);
  });

  it('are used where they are declared', () => {
    const names = new Set([...used.map(({ name }) => name), ...Object.keys(NOT_IMPORTED)]);
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    assert.deepEqual(
      declared.filter((name) => !names.has(name)),
      [],
      'declared, and imported nowhere',
    );
    const ofProduct = new Set(used.filter(({ path }) => !DEVELOPMENT.test(path)).map(({ name }) => name));
    const onlyForTests = Object.keys(manifest.dependencies).filter((name) => !ofProduct.has(name));
    assert.deepEqual(onlyForTests, ['@bull-board/ui'], 'needed by tests alone: devDependencies');
    assert.deepEqual(
      Object.keys(NOT_IMPORTED).filter((name) => !declared.includes(name)),
      [],
      'not declared any more',
    );
  });

  it('have one exact version, in package.json and in the lock', () => {
    const { dependencies, devDependencies, overrides } = manifest;
    const loose = Object.entries({ ...dependencies, ...devDependencies, ...overrides })
      .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
      .map(([name, version]) => `${name} ${version}`);
    assert.deepEqual(loose, []);
    assert.deepEqual(lock.packages['']?.dependencies, dependencies);
    assert.deepEqual(lock.packages['']?.devDependencies, devDependencies);
  });

  it('are compared with the lock when they arrive, whichever registry they come from', () => {
    const unchecked = Object.entries(lock.packages)
      .filter(([path, { integrity, resolved }]) => path !== '' && (!integrity?.startsWith('sha512-') || resolved))
      .map(([path]) => path);
    assert.deepEqual(unchecked, []);
  });

  it('run no script of theirs when they are installed, unless that is allowed by name', () => {
    const withScripts = Object.entries(lock.packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
    assert.deepEqual(new Set(withScripts), new Set(Object.keys(manifest.allowScripts)));
    assert.deepEqual(new Set(Object.values(manifest.allowScripts)), new Set([false]));
  });

  it('are named with their licences in THIRD_PARTY_NOTICES.md', () => {
    const current = readFileSync(join(ROOT, 'THIRD_PARTY_NOTICES.md'), 'utf8');
    assert.ok(current === noticesText(), 'run npm run generate:notices');
  });
});

describe('images of others', () => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

  it('get their digest behind the tag, and the newest in place of an old one', () => {
    const text = [
      'FROM node:24-bookworm-slim AS farm',
      `FROM nvidia/cuda:12.6.3-runtime@sha256:${'0'.repeat(64)} AS cuda`,
      'FROM farm',
      '  image: redis:7-alpine',
      '  image: lipsync-farm:cuda',
      '  image: lipsync-farm',
    ].join('\n');
    const expected = [
      `FROM node:24-bookworm-slim@${digest} AS farm`,
      `FROM nvidia/cuda:12.6.3-runtime@${digest} AS cuda`,
      'FROM farm',
      `  image: redis:7-alpine@${digest}`,
      '  image: lipsync-farm:cuda',
      '  image: lipsync-farm',
    ].join('\n');
    assert.equal(
      pinned(text, () => digest),
      expected,
    );
  });

  it('are all found in the files of this repository', () => {
    const asked = ['Dockerfile', 'docker-compose.yml', 'docker-compose.cuda.yml'].flatMap((name) => {
      const images: string[] = [];
      pinned(readFileSync(join(ROOT, name), 'utf8'), (image) => {
        images.push(image.replace(/:.*/, ''));
        return digest;
      });
      return images;
    });
    assert.deepEqual(asked, ['node', 'nvidia/cuda', 'redis']);
  });

  it('are never written with something that is no digest', () => {
    assert.throws(() => pinned('FROM node:24', () => ''), /no digest/);
  });
});

function usedPackages(): { path: string; name: string }[] {
  const paths = globSync('*/**/*.{ts,mjs}', { cwd: ROOT, exclude: (name) => name === 'node_modules' });
  return paths.flatMap((path) =>
    importsOf({ path, text: readFileSync(join(ROOT, path), 'utf8') })
      .filter(({ specifier, file }) => file === undefined && !isBuiltin(specifier))
      .map(({ specifier }) => ({ path, name: packageOf(specifier) })),
  );
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8')) as T;
}
