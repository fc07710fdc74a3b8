import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addModel, hasModel } from '../../shared/config/add-model.ts';
import type { Config } from '../../shared/config/load.ts';

const EXAMPLE = fileURLToPath(new URL('../../config.example.yaml', import.meta.url));
const NO_ENVIRONMENT = { redisUrl: undefined, configPath: undefined, overrides: new Map<string, string>() };

describe('adding a model to a configuration file', () => {
  let folder = '';
  let configPath = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-test-'));
    configPath = path.join(folder, 'config.yaml');
  });
  beforeEach(async () => await rm(configPath, { force: true }));
  after(async () => await rm(folder, { recursive: true }));

  const anna = () => ({
    modelId: 'anna',
    modelPath: path.join(folder, 'models/anna/generator.onnx'),
    backgroundDir: path.join(folder, 'models/anna/full_body_img'),
    cropRectsPath: '/elsewhere/crop_rects.json',
    audioEncoderPath: undefined,
  });
  const add = (replace = false, check = async (config: Config) => config) =>
    addModel({ configPath, model: anna(), replace, environment: NO_ENVIRONMENT }, check);
  const linesOf = async () => (await readFile(configPath, 'utf8')).split('\n');

  it('leaves every line of the file as it is, comments and order too', async () => {
    const example = await readFile(EXAMPLE, 'utf8');
    await writeFile(configPath, example);
    await add();
    const before = example.split('\n');
    const lines = await linesOf();
    const start = lines.indexOf('  anna:');
    assert.deepEqual(lines.slice(start, start + 4), [
      '  anna:',
      '    model_path: models/anna/generator.onnx',
      '    background_dir: models/anna/full_body_img',
      '    crop_rects_path: /elsewhere/crop_rects.json',
    ]);
    assert.deepEqual([...lines.slice(0, start), ...lines.slice(start + 4)], before);
  });

  it('finds the end of the last entry among comments, blank lines and other sections', async () => {
    const [before, after] = [
      'models: # trained\n  bob: # his\n    model_path: "b.onnx"   # v2\n    preload_model: true # fast\n',
      '  # carl:\n  #   model_path: c.onnx\n\nhttp:   { port: 81 }\n',
    ];
    await writeFile(configPath, before + after);
    await add();
    const text = await readFile(configPath, 'utf8');
    assert.ok(
      text.startsWith(`${before}  anna:\n`) &&
        text.endsWith(`full_body_img\n    crop_rects_path: /elsewhere/crop_rects.json\n${after}`),
      text,
    );
  });

  it('writes a section in braces anew', async () => {
    await writeFile(configPath, 'models: {bob: {model_path: b.onnx}} # all\n');
    assert.deepEqual([...(await add()).models.keys()], ['bob', 'anna']);
    assert.match(await readFile(configPath, 'utf8'), /# all/);
  });

  it('writes paths that begin at models_root, and that resolve to the files', async () => {
    await writeFile(configPath, 'models_root: models # all of them\nmodels:\n');
    const config = await add();
    assert.equal((await linesOf())[2], '  anna:');
    assert.equal((await linesOf())[3], '    model_path: anna/generator.onnx');
    assert.equal(config.models.get('anna')?.modelPath, anna().modelPath);
    assert.equal(config.models.get('anna')?.cropRectsPath, '/elsewhere/crop_rects.json');
  });

  it('makes a file that is not there', async () => {
    const config = await add();
    assert.deepEqual([...config.models.keys()], ['anna']);
    assert.equal((await linesOf())[0], 'models:');
  });

  it('keeps indentation, padding, long lines and permissions', async () => {
    const key = 'k'.repeat(200);
    const text = `auth:\n    api_keys: [ ${key}, ${key} ]\n`;
    await writeFile(configPath, text);
    await chmod(configPath, 0o640);
    await add();
    assert.ok((await readFile(configPath, 'utf8')).startsWith(`${text}models:\n    anna:\n        model_path:`));
    assert.equal((await stat(configPath)).mode & 0o777, 0o640);
  });

  it('keeps the encoding and the line ends of the file', async () => {
    const text = '# Größe\r\nmodels:\r\n  bob: {model_path: b.onnx}\r\nhttp: {port: 81}\r\n';
    const utf16 = Buffer.from(`\uFEFF${text}`, 'utf16le');
    const forms: [string, Buffer, (file: Buffer) => string][] = [
      ['a mark', Buffer.from(`\uFEFF${text}`), (file) => file.toString('utf8')],
      ['UTF-16LE', utf16, (file) => file.toString('utf16le')],
      ['UTF-16BE', Buffer.from(utf16).swap16(), (file) => file.swap16().toString('utf16le')],
    ];
    for (const [form, before, decode] of forms) {
      await writeFile(configPath, before);
      assert.deepEqual([...(await add()).models.keys()], ['bob', 'anna'], form);
      const lines = decode(await readFile(configPath)).split('\r\n');
      const at = lines.indexOf('  anna:');
      assert.equal(lines.splice(at, 4).length, 4, form);
      assert.equal(lines.join('\r\n'), `\uFEFF${text}`, form);
    }
  });

  it('leaves anchors, aliases and merge keys as they are', async () => {
    const before = [
      ...['x-shared: &shared', '  preferred_gpu: 1', 'models: &all', '  bob: &bob', '    <<: *shared # one for all'],
      ...['    model_path: b.onnx', '  carl:', '    <<: [*bob, *shared]', ''],
    ].join('\n');
    await writeFile(configPath, before);
    const config = await add();
    assert.ok((await readFile(configPath, 'utf8')).startsWith(`${before}  anna:\n    model_path:`));
    assert.equal(config.models.get('carl')?.preferredGpu, 1);
    assert.equal(config.models.get('anna')?.preferredGpu, undefined);
  });

  it('refuses by name what it cannot add to, and an id that a merge key brings in', async () => {
    const shared = 'x-models: &m\n  anna: &anna\n    model_path: a.onnx\n';
    const texts: [string, RegExp][] = [
      [`${shared}models: *m\n`, /models in .* is an alias/],
      [`${shared}models:\n  anna: *anna\n`, /models\.anna in .* is an alias/],
    ];
    for (const [text, message] of texts) {
      await writeFile(configPath, text);
      await assert.rejects(add(true), { code: 'config_invalid', message });
      assert.equal(await readFile(configPath, 'utf8'), text);
    }
    await writeFile(configPath, `${shared}models:\n  <<: *m\n`);
    await assert.rejects(add(), { code: 'model_exists' });
  });

  it('refuses an id that is there, and replaces its files alone when it may', async () => {
    const text = 'models:\n  anna: # mine\n    model_path: old.onnx\n    preferred_gpu: 1\n';
    await writeFile(configPath, text);
    assert.equal(await hasModel(configPath, 'anna', NO_ENVIRONMENT), true);
    assert.equal(await hasModel(configPath, 'bob', NO_ENVIRONMENT), false);
    await assert.rejects(add(), { code: 'model_exists' });
    assert.equal(await readFile(configPath, 'utf8'), text);
    const config = await add(true);
    assert.equal(config.models.get('anna')?.preferredGpu, 1);
    assert.equal((await linesOf()).filter((line) => line.includes('# mine')).length, 1);
  });

  it('changes nothing when the check fails or the file was wrong before', async () => {
    await writeFile(configPath, 'models_root: x\n');
    const refuse = async () => {
      throw new Error('no such network');
    };
    await assert.rejects(add(false, refuse), /no such network/);
    assert.equal(await readFile(configPath, 'utf8'), 'models_root: x\n');
    await assert.rejects(
      add(false, async (config) => {
        await writeFile(configPath, 'models_root: y\n');
        return config;
      }),
      { code: 'config_invalid', message: /was changed meanwhile/ },
    );
    assert.equal(await readFile(configPath, 'utf8'), 'models_root: y\n');
    await writeFile(configPath, 'modles: {}\n');
    await assert.rejects(add(), { code: 'config_invalid', message: /modles: unknown key/ });
    assert.deepEqual(await readdir(folder), ['config.yaml']);
  });
});
