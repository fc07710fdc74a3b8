import { type Import, importsOf, readsProcessEnv, type SourceFile } from './source-imports.ts';

/** The rules of the source tree: who may import whom, and what may stand where. Each finds its own violations. */

export interface Rule {
  readonly name: string;
  /** One line per violation, naming the file and what is wrong in it. */
  readonly check: (files: readonly SourceFile[]) => string[];
}

const CONTRACT = 'worker/pipeline/contract.ts';
const RATES = 'shared/sound/rates.ts';
/** How the sound is cut for each kind of features, as data and as arithmetic on indices. */
const SOUND_DATA = [
  'shared/sound/silence-gate.ts',
  'shared/sound/idle-track.ts',
  RATES,
  'shared/sound/audio-kinds.ts',
  'shared/sound/hearing.ts',
  'shared/sound/hubert-chunks.ts',
  'shared/sound/wenet-rows.ts',
];
const PIPELINE = 'worker/pipeline/pipeline.ts';
/** What runs the pipeline over many frames; it knows pipeline.ts and no stage. */
const PIPELINE_RUNNERS = [
  'cut-pictures',
  'feature-recipes',
  'frame-inputs',
  'frame-request',
  'heard-sound',
  'held-memory',
  'look-ahead',
  'mel-of-sound',
  'network-runs',
  'render-frames',
  'silent-mouths',
  'sliding-features',
].map((name) => `worker/pipeline/${name}.ts`);
/** Arithmetic that stages share. Everything else in the folder but the contract, the pipeline and its runners is a stage. */
const PIPELINE_TOOLS = [
  'fade-mouth',
  'fbank-filters',
  'fft',
  'mel-filters',
  'bicubic',
  'mix-back',
  'mouth',
  'picture-floats',
  'power-spectrum',
  'sound-ranges',
  'stage-timings',
].map((name) => `worker/pipeline/${name}.ts`);

/** All that the folders without Redis, jobs and configuration may use of `shared/`. */
const FOR_PURE_ROOMS = [
  'shared/background-mode.ts',
  'shared/errors/farm-error.ts',
  'shared/limits.ts',
  'shared/onnx/encode.ts',
  'shared/onnx/graph.ts',
  'shared/onnx/message-reader.ts',
  'shared/onnx/message-writer.ts',
  'shared/process/environment.ts',
  'shared/process/free-now.ts',
  'shared/process/unheard.ts',
  'shared/files/regular-file.ts',
  'shared/sound/hearing-of-file.ts',
  'shared/sound/lip-sync-ports.ts',
  'shared/onnx/port-shapes.ts',
  'shared/sound/frame-rate.ts',
  'shared/sound/row-reach.ts',
  'shared/units.ts',
  ...SOUND_DATA,
];

/** Which of our folders each folder may import, besides itself; a folder that is not named may import none. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: ['shared'],
  worker: ['shared'],
  shared: [],
  client: ['shared'],
  cli: ['client', 'shared'],
  studio: ['client', 'shared'],
  avatars: ['shared'],
  scripts: [],
  bench: ['api', 'avatars', 'cli', 'client', 'scripts', 'shared', 'worker'],
};

export const RULES: readonly Rule[] = [
  {
    name: 'folders import only what they may',
    check: onImports((file, { file: target, typesOnly }) => {
      const from = folderOf(file);
      if (target === undefined || from === 'test' || folderOf(target) === from) return false;
      if (from === 'avatars' && target === CONTRACT && typesOnly) return false;
      return !MAY_IMPORT[from]?.includes(folderOf(target));
    }),
  },
  {
    name: 'a pipeline stage imports the contract, its tools, the data of the sound, the errors and nothing else',
    check: onImports(
      (file, { file: target, specifier }) =>
        isStageOrTool(file) &&
        !specifier.startsWith('node:') &&
        ![CONTRACT, ...SOUND_DATA, 'shared/errors/farm-error.ts', ...PIPELINE_TOOLS].includes(target ?? specifier),
    ),
  },
  {
    name: 'only pipeline.ts imports the stages',
    check: onImports(
      (file, { file: target }) =>
        target !== undefined &&
        isStage(target) &&
        file !== PIPELINE &&
        folderOf(file) !== 'test' &&
        folderOf(file) !== 'bench',
    ),
  },
  {
    name: 'pipeline.ts imports the contract, the data of the sound, the stages and their tools and nothing else',
    check: onImports(
      (file, { file: target }) =>
        file === PIPELINE &&
        (target === undefined || (![CONTRACT, ...SOUND_DATA].includes(target) && !isStageOrTool(target))),
    ),
  },
  { name: 'no two folders of worker/ import each other', check: findMutualFolders },
  {
    name: 'worker/pipeline and worker/onnx know nothing of Redis, jobs or the configuration',
    check: onImports(
      (file, { file: target, specifier }) =>
        /^worker\/(?:pipeline|onnx)\//.test(file) &&
        (['bullmq', 'ioredis'].includes(packageOf(specifier)) ||
          (target !== undefined && folderOf(target) === 'shared' && !FOR_PURE_ROOMS.includes(target))),
    ),
  },
  { name: 'what a browser loads of the client imports nothing of Node, and zod alone', check: findNodeInClient },
  {
    name: 'onnxruntime-node is imported in one module, which turns its telemetry off',
    check: onImports(
      (file, { specifier }) =>
        packageOf(specifier) === 'onnxruntime-node' && !/^(?:worker\/onnx\/onnxruntime\.ts$|test\/)/.test(file),
    ),
  },
  {
    name: 'OpenTelemetry is imported in one module, and that only where tracing is turned on',
    check: (files) => {
      const isOurs = (file: SourceFile) => !/^(?:test|bench)\//.test(file.path);
      return [
        ...onImports(
          (file, { specifier }) => specifier.startsWith('@opentelemetry/') && file !== 'shared/tracing/otlp-tracer.ts',
        )(files.filter(isOurs)),
        ...onImports(
          (file, { file: target }) =>
            target === 'shared/tracing/otlp-tracer.ts' && file !== 'shared/tracing/tracing.ts',
        )(files.filter(isOurs)),
        ...files
          .filter(({ path, text }) => path === 'shared/tracing/tracing.ts' && /^import .*otlp-tracer/m.test(text))
          .map(({ path }) => `${path} loads OpenTelemetry though nothing is traced`),
      ];
    },
  },
  {
    name: 'the client of S3 is imported in shared/s3, where a bucket is used and no sooner',
    check: (files) => {
      const ours = files.filter(({ path }) => !/^(?:test|bench)\//.test(path));
      const elsewhere = onImports(
        (file, { specifier, typesOnly }) =>
          specifier.startsWith('@aws-sdk/') && !typesOnly && !file.startsWith('shared/s3/'),
      )(ours);
      const sooner = ours.filter(({ text }) => /^import (?!type)[^;]*'@aws-sdk\//m.test(text));
      return [...elsewhere, ...sooner.map(({ path }) => `${path} loads the client of S3 with itself`)];
    },
  },
  {
    name: 'one module under worker/tools imports fluent-ffmpeg',
    check: (files) => {
      const importers = files.filter((file) =>
        importsOf(file).some(({ specifier }) => packageOf(specifier) === 'fluent-ffmpeg'),
      );
      const elsewhere = importers.filter(({ path }) => !path.startsWith('worker/tools/'));
      const wrong = elsewhere.length > 0 ? elsewhere : importers.length > 1 ? importers : [];
      return wrong.map(({ path }) => `${path} imports fluent-ffmpeg`);
    },
  },
  {
    name: 'process.env is read in shared/process/environment.ts only',
    check: (files) =>
      files
        .filter(
          (file) =>
            file.path !== 'shared/process/environment.ts' &&
            !['scripts', 'test', 'bench'].includes(folderOf(file.path)),
        )
        .filter(readsProcessEnv)
        .map(({ path }) => `${path} reads process.env`),
  },
  {
    name: 'every import names a file that exists',
    check: (files) => {
      const known = new Set(files.map(({ path }) => path));
      return onImports((_, { file }) => file?.endsWith('.ts') === true && !known.has(file))(files);
    },
  },
];

function onImports(isWrong: (path: string, wanted: Import) => boolean): Rule['check'] {
  return (files) =>
    files.flatMap((file) =>
      importsOf(file)
        .filter((wanted) => isWrong(file.path, wanted))
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    );
}

/** What client/index.ts imports of others than zod, over all files of ours that it loads. */
function findNodeInClient(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const loaded = new Set(['client/index.ts']);
  const wrong: string[] = [];
  for (const path of loaded) {
    const file = byPath.get(path);
    for (const { specifier, file: target } of file ? importsOf(file) : []) {
      if (target !== undefined) loaded.add(target);
      else if (specifier !== 'zod') wrong.push(`${path} imports ${specifier}`);
    }
  }
  return wrong;
}

/** Pairs of folders inside worker/ of which each imports the other. */
function findMutualFolders(files: readonly SourceFile[]): string[] {
  const imports = new Map<string, string>();
  for (const file of files) {
    const from = roomOf(file.path);
    for (const { file: target } of importsOf(file)) {
      const to = target && roomOf(target);
      if (from && to && from !== to) imports.set(`${from} → ${to}`, file.path);
    }
  }
  return [...imports].flatMap(([arrow, path]) => {
    const [from = '', to = ''] = arrow.split(' → ');
    const back = imports.get(`${to} → ${from}`);
    return from < to && back ? [`${from} and ${to} import each other: ${path}, ${back}`] : [];
  });
}

/** 'worker/gpu/x.ts' → 'worker/gpu'; undefined outside the folders of worker/. */
function roomOf(path: string): string | undefined {
  return /^(worker\/[^/]+)\//.exec(path)?.[1];
}

function isStage(path: string): boolean {
  return isStageOrTool(path) && !PIPELINE_TOOLS.includes(path);
}

function isStageOrTool(path: string): boolean {
  return path.startsWith('worker/pipeline/') && ![CONTRACT, PIPELINE, ...PIPELINE_RUNNERS].includes(path);
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : '';
}

/** 'sharp/lib/x' → 'sharp', '@bull-board/api/y' → '@bull-board/api'. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
