import type { Random } from './random.ts';

/** Changes what is right until it may be wrong: bytes, texts and values. */

/** Texts that something somewhere has stumbled over. */
const NASTY_TEXTS = [
  ...['', ' ', '\0', 'a\0b', '\r\nX-Injected: 1', '\u2028', '\ufeff', '\ud800', '😀', 'é'.normalize('NFD'), '١٢'],
  ...['../../etc/passwd', '..%2f..%2fetc', '/dev/zero', 'file:///etc/passwd', 'con', '%00', '%', '%zz', '%e0%80%80'],
  ...[
    'null',
    'undefined',
    'true',
    'NaN',
    'Infinity',
    '-0',
    '1e309',
    '0x10',
    '1_000',
    '-1',
    '1.5',
    '99999999999999999999',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '[object Object]',
    '{}',
    '[]',
    '"',
    "'",
    '\\',
    '`',
    '$(1)',
  ],
  ...[
    '{farm}',
    '*',
    '?',
    '#',
    '&a=b',
    ';',
    '<script>',
    "';--",
    '$(id)',
    '|',
    '\n',
    '\t',
    '-',
    '--help',
    '@/etc/passwd',
  ],
  ...['A'.repeat(255), 'A'.repeat(5000), '9'.repeat(400), '['.repeat(2000), 'é'.repeat(300)],
];
const NASTY_NUMBERS = [
  ...[0, -0, 1, -1, 2, 24, 25, 26, 99, 100, 101, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32],
  ...[2 ** 53, 2 ** 53 + 2, -(2 ** 53), 1e21, 1e300, 1e-300, 0.1, -0.5, Number.NaN, Infinity, -Infinity],
];
const NASTY_BYTES = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

export function nastyText(random: Random): string {
  return random.pick(NASTY_TEXTS);
}

export function nastyNumber(random: Random): number {
  return random.chance(0.2) ? random.below(2 ** 32) - 2 ** 31 : random.pick(NASTY_NUMBERS);
}

/** A value of JSON, of any kind. */
export function nastyValue(random: Random, depth = 0): unknown {
  switch (random.below(depth > 2 ? 4 : 6)) {
    case 0:
      return nastyNumber(random);
    case 1:
      return random.pick([null, true, false]);
    case 4:
      return Array.from({ length: random.below(4) }, () => nastyValue(random, depth + 1));
    case 5:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [nastyText(random), nastyValue(random, depth + 1)]),
      );
    default:
      return nastyText(random);
  }
}

/** `value` with a few of its parts replaced, dropped, renamed or given twice. */
export function mutateValue(random: Random, value: unknown, share = 0.15): unknown {
  if (random.chance(share)) return nastyValue(random);
  if (Array.isArray(value)) {
    const items = value.flatMap((item) => {
      if (random.chance(share / 2)) return [];
      const changed = mutateValue(random, item, share);
      return random.chance(share / 2) ? [changed, changed] : [changed];
    });
    return items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) => {
      if (random.chance(share / 2)) return [];
      return [[random.chance(share / 2) ? nastyText(random) : name, mutateValue(random, part, share)]];
    }),
  );
}

/** `bytes` with one to some changes: bits, bytes, numbers of 16 and 32 bits, pieces cut out, doubled or moved. */
export function mutateBytes(random: Random, bytes: Uint8Array, most = 8): Buffer {
  let changed = Buffer.from(bytes);
  for (let left = 1 + random.below(most); left > 0; left--) changed = mutateOnce(random, changed);
  return changed;
}

function mutateOnce(random: Random, bytes: Buffer): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(random.chance(0.8) ? 16 : Math.max(1, bytes.length));
  const until = Math.min(bytes.length, at + length);
  const copy = Buffer.from(bytes);
  switch (random.below(8)) {
    case 0:
      if (at < copy.length) copy[at] = (copy[at] as number) ^ (1 << random.below(8));
      return copy;
    case 1:
      if (at < copy.length) copy[at] = random.pick(NASTY_BYTES);
      return copy;
    case 2:
      return writeNumber(random, copy, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(until)]);
    case 4:
      return Buffer.concat([copy.subarray(0, until), copy.subarray(at)]);
    case 5:
      return Buffer.concat([copy.subarray(0, at), random.bytes(length % 64), copy.subarray(at)]);
    case 6:
      return random.chance(0.3) ? copy.subarray(0, at) : copy.fill(random.pick(NASTY_BYTES), at, until);
    default:
      return Buffer.concat([copy.subarray(0, at), Buffer.from(nastyText(random)), copy.subarray(until)]);
  }
}

/** Lengths and counts of containers are numbers of 16 or 32 bits, of either byte order. */
function writeNumber(random: Random, bytes: Buffer<ArrayBuffer>, at: number): Buffer<ArrayBuffer> {
  if (bytes.length < 4) return bytes;
  const place = Math.min(at, bytes.length - 4);
  const value = random.pick([0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, random.below(2 ** 32)]);
  if (random.chance(0.5)) bytes.writeUInt32LE(value >>> 0, place);
  else bytes.writeUInt32BE(value >>> 0, place);
  return bytes;
}
