import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RULES } from './import-rules.ts';
import { importsOf, readsProcessEnv, type SourceFile } from './source-imports.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A wrong tree for each rule, by the rule's name, and the one line that it must answer. */
const WRONG: Readonly<Record<string, { files: Readonly<Record<string, string>>; answer: string }>> = {
  'folders import only what they may': {
    files: {
      'api/app.ts': `import type {\n  Consumer,\n} from '../worker/consumer.ts';`,
      'worker/jobs/consumer.ts': '',
    },
    answer: 'api/app.ts imports ../worker/consumer.ts',
  },
  'a pipeline stage imports the contract, its tools, the data of the sound, the errors and nothing else': {
    files: { 'worker/pipeline/mel.ts': `import { FFT_SIZE } from './contract.ts';\nimport sharp from 'sharp';` },
    answer: 'worker/pipeline/mel.ts imports sharp',
  },
  'only pipeline.ts imports the stages': {
    files: { 'worker/pipeline/render-frames.ts': `export { computeMel } from './mel.ts';` },
    answer: 'worker/pipeline/render-frames.ts imports ./mel.ts',
  },
  'pipeline.ts imports the contract, the data of the sound, the stages and their tools and nothing else': {
    files: { 'worker/pipeline/pipeline.ts': `import { computeMel } from './mel.ts';\nimport './render-frames.ts';` },
    answer: 'worker/pipeline/pipeline.ts imports ./render-frames.ts',
  },
  'no two folders of worker/ import each other': {
    files: {
      'worker/jobs/a.ts': `import type { B } from '../queues/b.ts';`,
      'worker/jobs/c.ts': '',
      'worker/queues/b.ts': `import { c } from '../jobs/c.ts';`,
    },
    answer: 'worker/jobs and worker/queues import each other: worker/jobs/a.ts, worker/queues/b.ts',
  },
  'worker/pipeline and worker/onnx know nothing of Redis, jobs or the configuration': {
    files: {
      'worker/onnx/session.ts': `import { jobId } from '../../shared/jobs/jobs.ts';`,
      'shared/jobs/jobs.ts': '',
    },
    answer: 'worker/onnx/session.ts imports ../../shared/jobs/jobs.ts',
  },
  'what a browser loads of the client imports nothing of Node, and zod alone': {
    files: {
      'client/index.ts': `export { open } from './open.ts';\nimport { z } from 'zod';`,
      'client/open.ts': `import { open } from 'node:fs';`,
      'client/node/files.ts': `import { open } from 'node:fs';`,
    },
    answer: 'client/open.ts imports node:fs',
  },
  'onnxruntime-node is imported in one module, which turns its telemetry off': {
    files: { 'worker/media/stitch.ts': `const { Tensor } = await import('onnxruntime-node');` },
    answer: 'worker/media/stitch.ts imports onnxruntime-node',
  },
  'OpenTelemetry is imported in one module, and that only where tracing is turned on': {
    files: {
      'shared/tracing/otlp-tracer.ts': `import { trace } from '@opentelemetry/api';`,
      'shared/tracing/tracing.ts': `import { otlpTracer } from './otlp-tracer.ts';`,
    },
    answer: 'shared/tracing/tracing.ts loads OpenTelemetry though nothing is traced',
  },
  'the client of S3 is imported in shared/s3, where a bucket is used and no sooner': {
    files: { 'shared/s3/client.ts': `import { S3Client } from '@aws-sdk/client-s3';` },
    answer: 'shared/s3/client.ts loads the client of S3 with itself',
  },
  'one module under worker/tools imports fluent-ffmpeg': {
    files: {
      'worker/tools/ffmpeg.ts': `import f from 'fluent-ffmpeg';`,
      'worker/x.ts': `import f from 'fluent-ffmpeg';`,
    },
    answer: 'worker/x.ts imports fluent-ffmpeg',
  },
  'process.env is read in shared/process/environment.ts only': {
    files: {
      'shared/process/environment.ts': 'process.env.A;',
      'api/main.ts': 'const port = `$' + '{process.env.PORT}`;',
    },
    answer: 'api/main.ts reads process.env',
  },
  'every import names a file that exists': {
    files: { 'worker/main.ts': `new Worker(new URL('./gone.ts', import.meta.url));` },
    answer: 'worker/main.ts imports ./gone.ts',
  },
};

describe('the source tree', () => {
  const files = readTree();
  for (const { name, check } of RULES) {
    it(name, () => {
      const wrong = check(files);
      assert.ok(wrong.length === 0, `${name}, but:\n${wrong.map((line) => `  ${line}`).join('\n')}`);
    });
  }
});

describe('each rule', () => {
  for (const { name, check } of RULES) {
    it(`can fail: ${name}`, () => {
      const example = WRONG[name];
      assert.ok(example, 'has no wrong tree to fail on');
      assert.deepEqual(check(toFiles(example.files)), [example.answer]);
    });
  }

  it('lets a tree pass that keeps them all', () => {
    const files = toFiles({
      'shared/errors/farm-error.ts': '',
      'api/app.ts': `import { FarmError } from '../shared/errors/farm-error.ts';\nimport { readFile } from 'node:fs/promises';`,
      'worker/pipeline/contract.ts': '',
      'worker/pipeline/mel.ts': `import type { Rect } from './contract.ts';`,
      'worker/pipeline/pipeline.ts': `import { computeMel } from './mel.ts';`,
      'avatars/demo/build.ts': `import { type Rect } from '../../worker/pipeline/contract.ts';`,
      'test/pipeline/mel.test.ts': `import { computeMel } from '../../worker/pipeline/mel.ts';\nprocess.env.REFERENCE_DIR;`,
    });
    assert.deepEqual(
      RULES.flatMap(({ check }) => check(files)),
      [],
    );
  });
});

describe('the reader of imports', () => {
  it('finds every form, and tells types from values', () => {
    const text = [
      `import './side.ts';`,
      `import a, { type B } from './a.ts';`,
      `import { type C } from './c.ts';`,
      `import * as d from "./d.ts";`,
      `export * from './e.ts';`,
      `export type { F } from './f.ts';`,
      `export {\n  g,\n  type H,\n} from './g.ts';`,
      `const i = await import('./i.ts');`,
      `import j from './j.json' with { type: 'json' };`,
    ].join('\n');
    const found = importsOf({ path: 'shared/x.ts', text }).map(
      ({ file, typesOnly }) => `${file}${typesOnly ? ' (types)' : ''}`,
    );
    const expected = ['side.ts', 'a.ts', 'c.ts (types)', 'd.ts', 'e.ts', 'f.ts (types)', 'g.ts', 'i.ts', 'j.json'];
    assert.deepEqual(
      found,
      expected.map((name) => `shared/${name}`),
    );
  });

  it('is not misled by comments, strings and templates', () => {
    const text = [
      `// import './a.ts';`,
      `/*\nimport './b.ts';\nprocess.env.X */`,
      'const c = `\nimport "./c.ts";\n`;',
      `const url = 'http://x'; import('./d.ts');`,
      `const words = "export x from './e.ts'";`,
    ].join('\n');
    assert.deepEqual(
      importsOf({ path: 'x.ts', text }).map(({ specifier }) => specifier),
      ['./d.ts'],
    );
    assert.equal(readsProcessEnv({ path: 'x.ts', text }), false);
  });

  it('sees the environment under its other names', () => {
    for (const text of [`import { env } from 'node:process';`, 'const { env } = process;', `process['env']`]) {
      assert.equal(readsProcessEnv({ path: 'x.ts', text }), true, text);
    }
  });
});

function readTree(): SourceFile[] {
  const paths = globSync('*/**/*.ts', {
    cwd: ROOT,
    exclude: (name) => name === 'node_modules' || name.startsWith('.'),
  });
  return paths.map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(join(ROOT, path), 'utf8') }));
}

function toFiles(texts: Readonly<Record<string, string>>): SourceFile[] {
  return Object.entries(texts).map(([path, text]) => ({ path, text }));
}
