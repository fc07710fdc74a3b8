import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { DEMO_AVATAR_DIR, DEMO_MODEL_ID, loadConfig } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { BUILT_IN, complaints, configFile, load, model, withoutPlace } from './config-files.ts';

test('without a word of configuration the demo avatar renders on this machine alone', () => {
  assert.deepEqual([...BUILT_IN.models.keys()], [DEMO_MODEL_ID]);
  const demo = model(BUILT_IN, DEMO_MODEL_ID);
  assert.deepEqual(demo.problems, []);
  assert.equal(demo.modelPath, path.join(DEMO_AVATAR_DIR, 'generator.onnx'));
  assert.equal(demo.audioEncoderPath, path.join(DEMO_AVATAR_DIR, 'audio_encoder.onnx'));
  assert.equal(BUILT_IN.http.host, '127.0.0.1');
  assert.equal(BUILT_IN.gpus.count, 1);
  assert.ok(BUILT_IN.onnx.execution_providers.includes('cpu'));
  assert.equal(BUILT_IN.redis.url, '');
  assert.deepEqual(BUILT_IN.auth.keys, []);
});

test('the gRPC port may have an address in front', () => {
  const ports = [':50053', '50054', 50055, '0.0.0.0:50056', '[::1]:50057', 'localhost:50058'];
  assert.deepEqual(
    ports.map((port) => load({ server: { port } }).server.port),
    [
      { host: undefined, port: 50053 },
      { host: undefined, port: 50054 },
      { host: undefined, port: 50055 },
      { host: '0.0.0.0', port: 50056 },
      { host: '[::1]', port: 50057 },
      { host: 'localhost', port: 50058 },
    ],
  );
});

test('the log level goes by two names, the older one first', () => {
  assert.equal(load({ logging: { level: 'warn' } }).logging.level, 'warn');
  assert.equal(load({ logging: { log_level: 'debug' } }).logging.level, 'debug');
  assert.equal(load({ logging: { level: 'warn', log_level: 'debug' } }).logging.level, 'debug');
});

test('everything that is wrong is named at once: path, value, nearest key', () => {
  const lines = complaints({
    http: { prot: 9000 },
    gpu: { count: 2 },
    server: { port: 'grpc', queue_size: -1 },
    output: { format: 'png' },
    limits: 5,
    models: { ann: { model_pth: 'a.onnx' }, bob: { model_path: 'b.onnx', preferred_gpu: 'first' } },
  });
  const expected = [
    /^http\.prot: unknown key; did you mean "port"\?$/,
    /^gpu: unknown key; did you mean "gpus"\?$/,
    /^server\.port: got "grpc"; expected a port such as ":50053"/,
    /^server\.queue_size: got -1; expected more than 0$/,
    /^output\.format: got "png"; expected jpeg or raw$/,
    /^limits: got 5; expected names with values$/,
    /^models\.ann\.model_path: missing; /,
    /^models\.ann\.model_pth: unknown key; did you mean "model_path"\?$/,
    /^models\.bob\.preferred_gpu: got "first"; expected a number$/,
  ];
  for (const line of expected)
    assert.ok(
      lines.some((found) => line.test(found)),
      `${line} is not in\n${lines.join('\n')}`,
    );
  assert.equal(lines.length, expected.length, lines.join('\n'));
});

const WRONG: [string, object, RegExp][] = [
  [
    'a key far from all',
    { http: { base: 1 } },
    /^http\.base: unknown key; there are port, host, allowed_hosts, allowed_origins, trusted_proxies$/,
  ],
  ['a port that does not exist', { http: { port: 70_000 } }, /^http\.port: got 70000; .*65535$/],
  ['a gRPC port that does not exist', { server: { port: ':99999' } }, /^server\.port: got ":99999"; expected a port/],
  ['text for a number', { gpus: { count: 'two' } }, /^gpus\.count: got "two"; expected a number$/],
  ['text for a switch', { gpus: { enabled: 'yes' } }, /^gpus\.enabled: got "yes"; expected true or false$/],
  ['a quality above 100', { output: { jpeg_quality: 101 } }, /^output\.jpeg_quality: got 101; expected at most 100$/],
  ['a provider that is none', { onnx: { execution_providers: ['gpu'] } }, /^onnx\.execution_providers\.0: got "gpu"; /],
  [
    'no provider at all',
    { onnx: { execution_providers: [] } },
    /^onnx\.execution_providers: got \[\]; expected 1 entry or more$/,
  ],
  ['a web address for Redis', { redis: { url: 'http://here' } }, /^redis\.url: not valid; expected redis:/],
  ['a model id with a slash', { models: { 'a/b': { model_path: 'x' } } }, /^models\.a\/b: .*; a model id has letters/],
  [
    'a model that is only a path',
    { models: { ann: 'best.onnx' } },
    /^models\.ann: got "best\.onnx"; expected names with values$/,
  ],
  ['a list of models', { models: [{ model_path: 'x' }] }, /^models: got \[.*; expected names with values, not a list$/],
];
for (const [what, content, line] of WRONG) {
  test(`${what} is refused with its path and its value`, () => {
    const [found = '', ...others] = complaints(content);
    assert.match(found, line);
    assert.deepEqual(others, []);
  });
}

test('a file that does not exist is named with its whole path', () => {
  assert.throws(() => loadConfig('nowhere/config.yaml', readEnvironment({})), {
    code: 'config_invalid',
    message: `The configuration file ${path.resolve('nowhere/config.yaml')} does not exist`,
  });
});

test('text that is not YAML is refused with the file and the line', () => {
  const file = configFile('http:\n  port: [8080\nredis:\n');
  assert.throws(
    () => loadConfig(file, readEnvironment({})),
    (error: Error) => error.message.startsWith(`${file} is not valid YAML: `) && /at line \d/.test(error.message),
  );
  assert.throws(() => load('a: 1\na: 2\n'), /not valid YAML: Map keys must be unique/);
  assert.throws(() => load('http: {}\n---\nhttp: {}\n'), /holds several documents: keep one/);
  assert.throws(() => load('http: !secret {}\n'), /not valid YAML: Unresolved tag at line 1/);
});

test('YAML that is a list or a word is refused', () => {
  for (const text of ['- http\n- redis\n', 'demo\n', '12\n']) assert.throws(() => load(text), /holds no sections/);
});

test('an empty file is the defaults', () => {
  for (const text of ['', '# nothing\n', '---\n', 'null\n']) {
    assert.deepEqual(withoutPlace(load(text)), withoutPlace(BUILT_IN));
  }
});

test("merge keys and aliases hold, and keys that begin with x- are their owner's", () => {
  const text = [
    ...['x-shared: &shared', '  preferred_gpu: 1', '  num_frames: 7', 'models:'],
    ...['  ann: &ann', '    <<: *shared', '    model_path: a.onnx', '    num_frames: 9', '  bob: *ann', ''],
  ].join('\n');
  const config = load(text, { FARM_MODELS__BOB__NUM_FRAMES: '3' });
  assert.deepEqual([model(config, 'ann').preferredGpu, model(config, 'ann').frameLimit], [1, 9]);
  assert.equal(model(config, 'bob').frameLimit, 3);
  for (const wrong of ['http: *nowhere\n', 'http: {<<: 12}\n']) assert.throws(() => load(wrong), /is not valid YAML: /);
});

const TEXT = 'models_root: Größe\r\nhttp:\r\n  port: 9000\r\n';
const UTF16 = Buffer.from(TEXT, 'utf16le');
const BIG = Buffer.from(UTF16).swap16();

test('a file is read with a byte order mark, in UTF-16 and with the line ends of Windows', () => {
  const forms = [
    Buffer.from(TEXT),
    Buffer.from(`\uFEFF${TEXT}`),
    Buffer.concat([Buffer.from([0xff, 0xfe]), UTF16]),
    Buffer.concat([Buffer.from([0xfe, 0xff]), BIG]),
  ];
  for (const form of forms) assert.equal(load(form).http.port, 9000);
});

test('another encoding is named, with what to do', () => {
  const forms: [Buffer, RegExp][] = [
    [UTF16, /has zero bytes: it is no text, or UTF-16 without a byte order mark; save it as UTF-8/],
    [BIG, /has zero bytes/],
    [Buffer.from(TEXT, 'latin1'), /is not encoded in UTF-8: save it as UTF-8/],
    [Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), /is encoded in UTF-32/],
    [Buffer.concat([Buffer.from([0xff, 0xfe]), UTF16, Buffer.from('a')]), /is damaged UTF-16/],
  ];
  for (const [form, message] of forms) assert.throws(() => load(form), { code: 'config_invalid', message });
});
