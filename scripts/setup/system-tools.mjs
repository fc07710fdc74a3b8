import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BIN, firstIn, firstOnPath } from './places.mjs';
import { runStep, SetupError } from './step.mjs';

/** Where package managers put programs, for shells whose PATH leaves one of these out. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/home/linuxbrew/.linuxbrew/bin'];

const MINIMUM_REDIS = [6, 2];

/** Which package brings a program, by package manager; where the name is not given it is the tool's own. */
const PACKAGE_OF = {
  'redis-server': { apt: 'redis-server', other: 'redis' },
  ffmpeg: {},
  ffprobe: { other: 'ffmpeg' },
};

const AS_ROOT_ENV = {
  DEBIAN_FRONTEND: 'noninteractive',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};

/**
 * Installs packages "$@" with apt without starting or enabling the services that they bring: the farm starts a Redis
 * of its own. Package lists are fetched only when the install does not work without.
 */
const APT_SCRIPT = `
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > $policy && chmod 755 $policy
fi
install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }
install "$@" || { apt-get update -q && install "$@"; } || exit 1
case " $* " in *" redis-server "*) systemctl disable redis-server >/dev/null 2>&1 || true ;; esac
`;

/**
 * The programs that the farm needs and npm scripts would not find. One that is installed outside PATH is linked into
 * node_modules/.bin, where everything that npm starts finds it, and counts as found.
 */
export function missingTools() {
  return neededTools().filter((name) => firstOnPath(name) === undefined && !linkFromUsualFolder(name));
}

/** A farm with a Redis of its own choosing needs no private one; the tests always start their own. */
function neededTools() {
  const { REDIS_URL, FARM_REDIS__URL, npm_lifecycle_event: hook } = process.env;
  const ownRedis = !(REDIS_URL || FARM_REDIS__URL) || hook === 'pretest';
  return ownRedis ? ['redis-server', 'ffmpeg', 'ffprobe'] : ['ffmpeg', 'ffprobe'];
}

export function redisIsNeeded() {
  return neededTools().includes('redis-server');
}

/** Throws SetupError when the redis-server that npm scripts find is too old. */
export function checkRedisVersion() {
  const path = firstOnPath('redis-server');
  const output = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const version = /v=(\d+)\.(\d+)/.exec(output);
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major > MINIMUM_REDIS[0] || (major === MINIMUM_REDIS[0] && minor >= MINIMUM_REDIS[1])) return;
  throw new SetupError(
    `setup: ${path} is Redis ${major}.${minor}; the farm needs ${MINIMUM_REDIS.join('.')} or newer. Upgrade it (https://redis.io/docs/latest/operate/oss_and_stack/install), or set REDIS_URL to a Redis that is new enough.`,
  );
}

/** Installs the named programs where this machine lets us; otherwise throws SetupError with the command to type. */
export function installTools(names) {
  const command = installCommand(names);
  if (command === undefined) throw new SetupError(wordsFor(names));
  const { ok, output } = runStep(`installing ${names.join(', ')}`, command.argv, {
    env: { ...process.env, ...command.env },
  });
  const stillMissing = ok ? missingTools() : names;
  if (stillMissing.length > 0) throw new SetupError(`${output.trim()}\n${wordsFor(stillMissing)}`);
}

function installCommand(names) {
  const brew = process.platform === 'darwin' ? firstBrew() : undefined;
  if (brew)
    return {
      argv: [brew, 'install', ...packages(names, 'other')],
      env: { HOMEBREW_NO_AUTO_UPDATE: '1', NONINTERACTIVE: '1' },
    };
  if (!existsSync('/usr/bin/apt-get')) return undefined;
  const script = ['sh', '-c', APT_SCRIPT, 'sh', ...packages(names, 'apt')];
  if (process.getuid?.() === 0) return { argv: ['/bin/sh', ...script.slice(1)], env: AS_ROOT_ENV };
  const sudo = firstOnPath('sudo') ?? '/usr/bin/sudo';
  if (spawnSync(sudo, ['-n', 'true'], { stdio: 'ignore' }).status !== 0) return undefined;
  const variables = Object.entries(AS_ROOT_ENV).map(([name, value]) => `${name}=${value}`);
  return { argv: [sudo, '-n', 'env', ...variables, ...script], env: {} };
}

/** What is missing and the one command that installs it on this platform. */
export function wordsFor(names) {
  const command = commandToType(names);
  const how = command
    ? `Install it with:\n\n    ${command}\n\n`
    : `Install ${packages(names, 'other').join(' and ')} with this system's package manager, `;
  const instead = names.includes('redis-server')
    ? ' A Redis that already runs elsewhere does as well: set REDIS_URL.'
    : '';
  return `setup: the farm needs ${names.join(' and ')}, not found on PATH. ${how}then run the same command again.${instead}`;
}

function commandToType(names) {
  const others = packages(names, 'other').join(' ');
  if (process.platform === 'darwin') return `brew install ${others}`;
  if (process.platform === 'win32') return `wsl --install   (the farm runs on Linux and macOS; work inside WSL 2)`;
  switch (linuxFamily()) {
    case 'debian':
      return `sudo apt-get update && sudo apt-get install -y ${packages(names, 'apt').join(' ')}`;
    case 'fedora':
      return `sudo dnf install -y ${others}`;
    case 'arch':
      return `sudo pacman -S ${others}`;
    case 'alpine':
      return `sudo apk add ${others}`;
    case 'suse':
      return `sudo zypper install ${others}`;
    default:
      return undefined;
  }
}

function linuxFamily() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const ids = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, value]) => value.split(' '));
  const families = {
    debian: ['debian', 'ubuntu'],
    fedora: ['fedora', 'rhel', 'centos'],
    arch: ['arch'],
    alpine: ['alpine'],
    suse: ['suse', 'opensuse'],
  };
  return Object.keys(families).find((family) => ids.some((id) => families[family].includes(id)));
}

function packages(names, manager) {
  return [...new Set(names.map((name) => PACKAGE_OF[name][manager] ?? PACKAGE_OF[name].other ?? name))];
}

function linkFromUsualFolder(name) {
  const found = firstIn(USUAL_FOLDERS, name);
  if (found === undefined) return false;
  const link = join(BIN, name);
  mkdirSync(BIN, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(found, link);
  process.stderr.write(`setup: ${name} is not on PATH; scripts use ${found}\n`);
  return true;
}

function firstBrew() {
  return firstOnPath('brew') ?? firstIn(USUAL_FOLDERS, 'brew');
}
