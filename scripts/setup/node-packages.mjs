import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BIN, firstOnPath, MODULES, pathWithoutBin, ROOT } from './places.mjs';
import { runStep, SetupError } from './step.mjs';

/** The Node that runs the scripts where the host's own is older than NODE_MAJOR. */
const NODE_VERSION = '24.21.0';
const NODE_MAJOR = 24;

/** Inside node_modules, so that it goes away with it, yet in a dot folder, which npm neither prunes nor lists. */
const NODE_FOLDER = join(MODULES, '.farm-node');
const STAMP = join(MODULES, '.farm-setup.json');

/** True when node_modules holds what package-lock.json names. */
export function packagesAreInstalled() {
  const lockText = readFileSync(join(ROOT, 'package-lock.json'));
  const stamp = stampOf(lockText);
  if (readJson(STAMP)?.packages === stamp) return true;
  // Installed by hand, or by an npm command of the user's: npm's own record decides.
  if (!npmInstalled(JSON.parse(lockText))) return false;
  writeFileSync(STAMP, JSON.stringify({ packages: stamp }));
  return true;
}

export function installPackages() {
  const { ok, output } = runStep('installing Node packages', npm('ci', '--engine-strict=false'), {
    ...npmOptions(),
    // npm ci insists that the lock names every platform's optional packages; what it does name decides here, too.
    fallback: (said) =>
      said.includes('code EUSAGE') && {
        note: '(package-lock.json lacks some, so npm install)',
        argv: npm('install', '--no-save', '--engine-strict=false'),
      },
  });
  if (ok && packagesAreInstalled()) return;
  throw new SetupError(
    `${output.trim()}\nsetup: npm could not install the packages. Check that npm reaches its registry (npm ping) and that the disk has room, then run the same command again.`,
  );
}

/** Lets `npx farm` find the repository's own command at once; without the link npx installs the repository as a package. */
export function linkFarmCommand() {
  const link = join(BIN, 'farm');
  if (existsSync(link) || !existsSync(BIN)) return;
  rmSync(link, { force: true });
  symlinkSync(join('..', '..', 'cli', 'farm.ts'), link);
}

/** True when the `node` that npm scripts find first is new enough. */
export function nodeIsNew() {
  const node = firstOnPath('node');
  if (node === undefined) return false;
  // npm ci may just have deleted the Node that runs this script.
  const runsThis = existsSync(process.execPath) && realpathSync(node) === realpathSync(process.execPath);
  return majorOf(runsThis ? process.version : versionOf(node)) >= NODE_MAJOR;
}

/** Puts a Node into node_modules/.bin, where npm scripts and npx look first. Changes nothing that is committed. */
export function installNode() {
  const name = `node-${process.platform}-${process.arch}`;
  mkdirSync(NODE_FOLDER, { recursive: true });
  const { ok, output } = runStep(
    `installing Node ${NODE_VERSION} for the scripts (this machine's own is older)`,
    npm(
      'install',
      `--prefix=${NODE_FOLDER}`,
      '--no-save',
      '--no-package-lock',
      '--ignore-scripts',
      `${name}@${NODE_VERSION}`,
    ),
    npmOptions(),
  );
  const link = join(BIN, 'node');
  if (ok) {
    mkdirSync(BIN, { recursive: true });
    rmSync(link, { force: true });
    symlinkSync(join('..', basename(NODE_FOLDER), 'node_modules', name, 'bin', 'node'), link);
    if (versionOf(link) === `v${NODE_VERSION}`) return;
  }
  rmSync(link, { force: true });
  throw new SetupError(
    `${output.trim()}\nsetup: the farm needs Node ${NODE_MAJOR} and could not install one by itself. Install it from https://nodejs.org or with your version manager (nvm install ${NODE_MAJOR}), then run the same command again.`,
  );
}

/** The npm command line, on the host's Node: the one inside node_modules is deleted by npm ci. */
function npm(...args) {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  const known = cli !== undefined && basename(cli) === 'npm-cli.js' && node !== undefined && !node.startsWith(MODULES);
  return [...(known ? [node, cli] : ['npm']), ...args, '--loglevel=error', '--no-audit', '--no-fund'];
}

/** onnxruntime-node's own download of CUDA libraries is left out: `npm run setup:cuda` does that. */
function npmOptions() {
  return { cwd: ROOT, env: { ...process.env, PATH: pathWithoutBin(), ONNXRUNTIME_NODE_INSTALL: 'skip' } };
}

function npmInstalled(lock) {
  const installed = readJson(join(MODULES, '.package-lock.json'))?.packages ?? {};
  return Object.entries(lock.packages).every(
    ([path, { version, optional, devOptional, peer }]) =>
      path === '' ||
      optional ||
      devOptional ||
      peer ||
      (installed[path]?.version === version && existsSync(join(ROOT, path, 'package.json'))),
  );
}

/** Native packages differ between platforms, so a folder carried over from another one counts as not installed. */
function stampOf(lockText) {
  return `${process.platform}-${process.arch}-${createHash('sha256').update(lockText).digest('hex')}`;
}

function versionOf(node) {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
}

function majorOf(version) {
  return Number(/^v(\d+)\./.exec(version)?.[1] ?? 0);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // Not there, or damaged: installed anew.
  }
}
