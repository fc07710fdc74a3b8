import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm run generate:notices`: writes THIRD_PARTY_NOTICES.md from package-lock.json and from the licences in
 * node_modules. A test fails while what is there is not what would be written.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NOTICES = join(ROOT, 'THIRD_PARTY_NOTICES.md');
const NOTICE_FILE = /^(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i;

/** Packages whose package.json, and so the lock, states no licence. */
const STATED_ELSEWHERE: Readonly<Record<string, string>> = { async: 'MIT' };

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  /** Of one platform, or one that a user may leave out: not on every machine, so its text is not quoted. */
  readonly optional?: boolean;
  readonly os?: readonly string[];
}

interface Package {
  readonly label: string;
  readonly name: string;
  readonly licence: string;
  /** The texts that it comes with; empty where it has none, or is not on every machine. */
  readonly text: string;
}

const HEAD = `# Third-party notices

Written by \`npm run generate:notices\`; a test fails while it is not current. Lipsync Farm itself is under the [MIT licence](LICENSE).

## What the farm uses and does not contain

| what | licence | where it comes from |
|---|---|---|
| ffmpeg, ffprobe | LGPL 2.1 or GPL 2, as it was built; Debian's and Ubuntu's, with libx264, is GPL | the system; the container images install the distribution's package |
| Redis | 7.2 and before: BSD 3-Clause; 7.4: RSALv2 or SSPLv1; from 8 on also AGPL 3. Valkey, BSD 3-Clause, serves as well | the system; \`docker-compose.yml\` names an image |
| Node.js | MIT, and those in its LICENSE file | the system, or the container image |
| tini | MIT | the container images |
| CUDA, cuDNN | NVIDIA's licence agreements | \`npm run setup:cuda\` and the CUDA image, and only there |
| ONNX Runtime's own parts | MIT; those of others are listed in its ThirdPartyNotices.txt | the package onnxruntime-node, see https://github.com/microsoft/onnxruntime |
| libvips and the libraries in it | LGPL 3 and others, listed in its package's README | the packages @img/sharp-libvips-*, loaded as a shared library that can be replaced |

The demo avatar, its pictures, its sound and its networks are made by the code in [avatars/](avatars/): no trained weights and no material of others are part of the repository. Networks and pictures of your own avatars are under the licences that you got them under.

`;

/** What THIRD_PARTY_NOTICES.md must hold. @throws when a package is under no licence that it states. */
export function noticesText(): string {
  const packages = readPackages();
  const rows = packages.map(({ label, licence }) => `| ${label} | ${licence} |`);
  const byText = Map.groupBy(packages, ({ text }) => text);
  byText.delete('');
  const texts = [...byText].map(
    ([text, users]) => `### ${users.map(({ label }) => label).join(', ')}\n\n\`\`\`text\n${text}\n\`\`\`\n`,
  );
  return [
    `${HEAD}## Packages from npm that run in a farm\n`,
    `| package | licence |\n|---|---|\n${rows.join('\n')}\n`,
    'Packages of a single platform are listed, and bring their licence with them.\n',
    `## Their licences\n`,
    ...texts,
  ].join('\n');
}

function readPackages(): Package[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const found = Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .map(([path, locked]) => toPackage(path, locked));
  const byLabel = new Map(found.map((one) => [one.label, one]));
  return [...byLabel.values()].sort((a, b) => (a.label < b.label ? -1 : 1));
}

function toPackage(path: string, { version, license, optional, os }: LockedPackage): Package {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const licence = license ?? STATED_ELSEWHERE[name];
  if (licence === undefined) throw new Error(`${name} ${version} states no licence: look it up, and name it here`);
  const text = optional || os ? '' : readTexts(join(ROOT, path));
  return { label: `${name} ${version}`, name, licence, text };
}

function readTexts(folder: string): string {
  if (!existsSync(folder)) throw new Error(`${folder} is not installed: run npm ci first`);
  const names = readdirSync(folder)
    .filter((name) => NOTICE_FILE.test(name))
    .sort();
  const texts = names.map((name) => readFileSync(join(folder, name), 'utf8'));
  return texts
    .map((text) =>
      text
        .replace(/\r\n?/g, '\n')
        .replace(/[ \t]+$/gm, '')
        .trim(),
    )
    .join('\n\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(NOTICES, noticesText());
