import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../../shared/config/load.ts';
import { decodeText } from '../../../shared/files/text-file.ts';
import { readEnvironment } from '../../../shared/process/environment.ts';
import { checkCropRects, parseCropRects } from '../../../worker/avatar/crop-rects.ts';
import { cropRectFromLandmarks, LANDMARK_COUNT } from '../../../worker/avatar/landmarks.ts';
import { decodePicture, readPictureSize } from '../../../worker/avatar/picture-file.ts';
import { mutateBytes, mutateValue, nastyNumber, nastyText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { allowRefusals } from './refusals.ts';

/** The doors that are files: what a user, an editor or a program of others wrote. */

const EXAMPLE = readFileSync(new URL('../../../config.example.yaml', import.meta.url));
const EXAMPLE_VALUES: unknown = parse(EXAMPLE.toString());
/** What only YAML has: references, tags, documents, keys that are no text, depth. */
const YAML_TRICKS = [
  'a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c]\n',
  ...[
    'a: &a\n  <<: *a\n',
    '&a [*a]',
    'models: &m\n  x: *m\n',
    '? [a, b]\n: c\n',
    '--- a\n--- b\n',
    '!!binary "AAAA"\n',
  ],
  ...[
    '!!js/function "x"\n',
    'http: !!set {port}\n',
    'http:\n\tport: 1\n',
    '%YAML 9.9\n---\n',
    'http: {port: 1, port: 2}\n',
  ],
  ...[
    `a: ${'['.repeat(20_000)}\n`,
    `${'a: {'.repeat(3000)}`,
    `${'- '.repeat(5000)}x\n`,
    '__proto__: {polluted: true}\n',
  ],
  ...[
    'http:\n  port: 0o17\n',
    'http:\n  port: 1e3\n',
    'server: ~\n',
    'models:\n  "": {}\n',
    'models: {x: {fps: .inf}}\n',
  ],
];

/** `config.yaml`, and the variables that are laid over it. */
export function configDoor(place: (name: string) => string) {
  return async (random: Random) => {
    const trick = Buffer.from(random.pick(YAML_TRICKS));
    const base = random.chance(0.2)
      ? Buffer.concat([EXAMPLE.subarray(0, random.below(EXAMPLE.length)), trick])
      : EXAMPLE;
    const values = () => Buffer.from(stringify(mutateValue(random, EXAMPLE_VALUES, 0.05)));
    const bytes = random.chance(0.1) ? trick : random.chance(0.5) ? values() : mutateBytes(random, base, 20);
    const file = place(`config-${random.below(64)}.yaml`);
    await writeFile(file, bytes);
    const overrides = random.some(['FARM_HTTP__PORT', 'FARM_MODELS__DEMO', 'FARM___PROTO____X', 'FARM_LIMITS'], 0.15);
    const environment = readEnvironment(Object.fromEntries(overrides.map((name) => [name, nastyText(random)])));
    await allowRefusals(['config_invalid'], bytes, () => loadConfig(file, environment));
    if (({} as { polluted?: boolean }).polluted) throw new Error('a prototype was changed');
  };
}

/** Crop rects as JSON, in both forms. */
export async function rectsDoor(random: Random): Promise<void> {
  const rects = Array.from({ length: random.below(6) }, () => [4, 4, 20 + random.below(20), 20]);
  const keyed = Object.fromEntries(rects.map((rect, index) => [index, { rect }]));
  const text = random.chance(0.02)
    ? '['.repeat(50_000)
    : JSON.stringify(mutateValue(random, random.chance(0.5) ? rects : keyed));
  const bytes = random.chance(0.3) ? mutateBytes(random, Buffer.from(text)) : Buffer.from(text);
  await allowRefusals(['model_unusable'], bytes, () => {
    const read = parseCropRects(decodeText(bytes, 'rects.json', 'model_unusable').text, 'rects.json');
    checkCropRects(read, { width: 32, height: 24, frameCount: 1 + random.below(4) }, 'rects.json');
  });
}

/** Landmarks of a face, `.lms`. */
export async function landmarksDoor(random: Random): Promise<void> {
  const lines = Array.from({ length: LANDMARK_COUNT }, () => {
    const [x, y] = [random.next() * 300, random.next() * 300].map((value) =>
      random.chance(0.02) ? nastyNumber(random) : value,
    );
    return random.chance(0.01) ? nastyText(random) : `${x} ${y}`;
  });
  const text = lines.slice(0, random.chance(0.9) ? LANDMARK_COUNT : random.below(LANDMARK_COUNT)).join('\n');
  const bytes = random.chance(0.5) ? mutateBytes(random, Buffer.from(text)) : Buffer.from(text);
  await allowRefusals(['model_unusable'], bytes, () => {
    const { x1, y1, x2, y2 } = cropRectFromLandmarks(decodeText(bytes, 'x.lms', 'model_unusable').text, 'x.lms');
    for (const side of [x1, y1, x2, y2]) if (!Number.isFinite(side)) throw new Error(`a rect with ${side}`);
  });
}

/** Background pictures: JPEG, PNG, WebP, and what is called so. */
export async function picturesDoor(place: (name: string) => string) {
  const size = { width: 32, height: 24 };
  const plain = sharp({ create: { ...size, channels: 3, background: { r: 200, g: 100, b: 50 } } });
  const pictures = [await plain.jpeg().toBuffer(), await plain.png().toBuffer(), await plain.webp().toBuffer()];
  return async (random: Random) => {
    const bytes = mutateBytes(random, random.pick(pictures));
    const file = place(`picture-${random.below(64)}`);
    await writeFile(file, bytes);
    await allowRefusals(['model_unusable'], bytes, () => readPictureSize(file));
    await allowRefusals(['model_unusable'], bytes, () => decodePicture(bytes, size, file));
  };
}
