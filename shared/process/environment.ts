/** The only module that reads the environment. Other modules get what they need from it. */

import { fileURLToPath } from 'node:url';

export interface Environment {
  /** REDIS_URL, unless FARM_REDIS__URL says otherwise. */
  readonly redisUrl: string | undefined;
  /** FARM_CONFIG: path of the configuration file. */
  readonly configPath: string | undefined;
  /** FARM_HOST: name of this machine among those of the farm, where the configuration has none. */
  readonly hostName?: string | undefined;
  /** CUDA_VISIBLE_DEVICES: the devices that this process and its children may use, in order. */
  readonly cudaDevices: readonly string[] | undefined;
  /** FARM_SECTION__KEY variables: configuration overrides, by their full name. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** FARM_ variables that are no configuration keys. */
const OWN_VARIABLES = new Set(['FARM_CONFIG', 'FARM_SKIP_SETUP', 'FARM_HOST', 'FARM_URL', 'FARM_API_KEY']);

export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  const overrides = new Map<string, string>();
  for (const [name, value] of Object.entries(variables)) {
    if (value !== undefined && name.startsWith('FARM_') && !OWN_VARIABLES.has(name)) overrides.set(name, value);
  }
  return {
    redisUrl: variables.REDIS_URL || undefined,
    configPath: variables.FARM_CONFIG || undefined,
    hostName: variables.FARM_HOST || undefined,
    cudaDevices: variables.CUDA_VISIBLE_DEVICES?.split(','),
    overrides,
  };
}

/** FARM_URL and FARM_API_KEY: the farm that commands speak to. */
export function readFarmAddress(variables: NodeJS.ProcessEnv = process.env): { url?: string; apiKey?: string } {
  const { FARM_URL: url, FARM_API_KEY: apiKey } = variables;
  return { ...(url ? { url } : {}), ...(apiKey ? { apiKey } : {}) };
}

/** AWS_REGION, or AWS_DEFAULT_REGION: where buckets are, unless the configuration says. */
export function readAwsRegion(variables: NodeJS.ProcessEnv = process.env): string | undefined {
  return variables.AWS_REGION || variables.AWS_DEFAULT_REGION || undefined;
}

/** What of the credentials for buckets must never be said; the S3 client reads these variables itself. */
export function readAwsSecrets(variables: NodeJS.ProcessEnv = process.env): string[] {
  const { AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token } = variables;
  return [key, token].filter((secret) => secret !== undefined);
}

/** Names under which npm runs what people start in this project; `npx` is its own. */
const NPM_SCRIPTS = new Set(['start', 'farm', 'demo', 'npx']);

/** True when this process stands below `npm start`, `npm run farm`, `npm run demo` or `npx`. */
export function isBelowNpm(variables: NodeJS.ProcessEnv = process.env): boolean {
  return NPM_SCRIPTS.has(variables.npm_lifecycle_event ?? '');
}

/**
 * Turns ONNX Runtime's telemetry off: by default it reports its use to its maker, and keeps files for this in the home
 * and the temporary folder. It reads the variable of the process, so this must be called in the main thread.
 */
export function declineTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
}

/**
 * Has CUDA show this process one device alone. It reads the variable of the process when it is first used, so this must
 * be called in the main thread, before ONNX Runtime is loaded.
 * @param id of the device, as nvidia-smi names it.
 */
export function useCudaDevice(id: string): void {
  process.env.CUDA_VISIBLE_DEVICES = id;
}

/**
 * Settings of glibc's allocator. With two arenas it does not keep a pool of picture buffers for each thread. Blocks of
 * 8 MiB and more, the larger parts of networks, go back to the system when they are freed, and so does free memory at
 * the top of the heap from 64 MiB on. Pictures, 2.8 MB at 720p, are below that: getting each from the system again
 * costs a sixth of the speed.
 */
const MALLOC_SETTINGS = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(8 * 2 ** 20),
  MALLOC_TRIM_THRESHOLD_: String(64 * 2 ** 20),
};

/**
 * For glibc in a GPU worker, where Linux gives huge pages to who asks for them: networks on the CPU take less, and no more
 * memory. Not for the ffmpeg that it starts, which takes 30 MB more with them and is no faster.
 */
const HUGE_PAGES = 'glibc.malloc.hugetlb=1';

/** What a GPU worker is started with beside what all processes are. Settings of who starts the farm stand. */
export function gpuTunables(inherited = process.env.GLIBC_TUNABLES): { readonly GLIBC_TUNABLES: string } {
  return { GLIBC_TUNABLES: inherited || HUGE_PAGES };
}

/**
 * Where Node keeps compiled modules. A farm's processes spend a quarter of their start on compiling otherwise. Beside
 * the packages, where only who may change the code may write: what is read there is run.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/node', import.meta.url));

/** This process's environment for a child, with `extra` added; on request without configuration overrides. */
export function childEnvironment(extra: Record<string, string>, inheritOverrides = true): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    // The key of who starts a farm is no affair of its processes.
    ([name]) => name !== 'FARM_API_KEY' && (inheritOverrides || !name.startsWith('FARM_')),
  );
  return { ...MALLOC_SETTINGS, NODE_COMPILE_CACHE: COMPILE_CACHE, ...Object.fromEntries(inherited), ...extra };
}

/**
 * What programs of others may know of the environment: where they and their libraries, drivers and files lie, and how
 * they write text. They read files of strangers, so they get no address with a password, no key, and nothing else.
 */
const KNOWN_TO_TOOLS =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|TMP|TEMP|DISPLAY|XDG_.*|(?:LD|DYLD)_.*|GLIBC_TUNABLES|MALLOC_.*|FONTCONFIG_.*|FFMPEG_DATADIR|AV_LOG_FORCE_.*|CUDA_.*|NVIDIA_.*|LIBVA_.*|VDPAU_.*|VK_.*|SystemRoot)$/;

/** The environment of ffmpeg, ffprobe and the tools of the system. */
export function toolEnvironment(variables: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const known = Object.entries(variables).filter(([name]) => KNOWN_TO_TOOLS.test(name));
  return Object.fromEntries(known.filter(([name, value]) => name !== 'GLIBC_TUNABLES' || value !== HUGE_PAGES));
}
