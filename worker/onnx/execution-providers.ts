/**
 * Execution providers of ONNX Runtime (cuda, cpu, …): which can work here, and which one is used. onnxruntime-node
 * only warns when a list names a provider that it does not know, and runs on the CPU: so providers are tried one at a
 * time, each in a list of its own.
 */

import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { NodesByProvider } from './node-placement.ts';
import { listSupportedBackends } from './onnxruntime.ts';
import { outputOf } from './system-tools.ts';

/** Libraries that onnxruntime-node does not install: a provider needs all of those listed, beside the binding. */
const PROVIDER_LIBRARIES: Readonly<Record<string, readonly string[]>> =
  process.platform === 'win32'
    ? {
        cuda: ['onnxruntime_providers_shared.dll', 'onnxruntime_providers_cuda.dll'],
        tensorrt: ['onnxruntime_providers_shared.dll', 'onnxruntime_providers_tensorrt.dll'],
      }
    : {
        cuda: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'],
        tensorrt: ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_tensorrt.so'],
      };

export interface PassedOverProvider {
  readonly provider: string;
  /** Why it was not used. */
  readonly reason: string;
}

/** Which provider a model runs on. */
export interface ProviderReport {
  /** The provider that is used. */
  readonly provider: string;
  /** The providers configured before it, in order. */
  readonly passedOver: readonly PassedOverProvider[];
  /** On which provider the nodes of the warm-up run ran; empty on the CPU, which runs them all. */
  readonly nodes: NodesByProvider;
  /** Why pictures are turned into floats outside of the network's graph, where they are. */
  readonly outside: string | undefined;
}

export type ProviderChoice<T> =
  | (Omit<ProviderReport, 'nodes' | 'outside'> & { readonly opened: T })
  | { readonly opened: undefined; readonly passedOver: readonly PassedOverProvider[] };

/**
 * Why a provider cannot work on this machine, as far as can be said without trying it: it is not built into this
 * onnxruntime-node, or its libraries are not installed. A missing driver shows only when a model is opened.
 * @param provider lower-case name, such as `cuda`.
 * @returns a sentence, or undefined when the provider is worth a try.
 */
export function whyUnavailable(provider: string): string | undefined {
  const backends = listSupportedBackends();
  const backend = backends.find(({ name }) => name === provider);
  if (backend === undefined) {
    const offered = backends.map(({ name }) => name).join(', ');
    return `this onnxruntime-node (${process.platform}/${process.arch}) offers ${offered} only`;
  }
  if (backend.bundled) return undefined;
  const folder = bindingFolder();
  const missing = (PROVIDER_LIBRARIES[provider] ?? []).filter((library) => !existsSync(join(folder, library)));
  return missing.length === 0
    ? undefined
    : `${missing.join(' and ')} not found in ${folder}: run \`npm run setup:cuda\``;
}

/**
 * Opens something on the first provider that can.
 * @param configured provider names in order of preference, at least one.
 * @param open opens on the provider given. When it throws, the next provider is tried; but a FarmError is about the
 * model, not the provider, and is thrown on.
 * @returns what was opened, the provider it runs on and why the earlier ones were not used; `opened` is undefined when
 * every provider was passed over.
 * @throws FarmError `config_invalid` when the list is empty, and what `open` says about the model.
 */
export async function openOnFirstProvider<T extends object>(
  configured: readonly string[],
  open: (provider: string) => Promise<T>,
): Promise<ProviderChoice<T>> {
  if (configured.length === 0) {
    throw new FarmError('config_invalid', 'onnx.execution_providers is empty: expected at least one, such as cpu');
  }
  const passedOver: PassedOverProvider[] = [];
  for (const provider of configured) {
    const unavailable = whyUnavailable(provider);
    if (unavailable !== undefined) {
      passedOver.push({ provider, reason: unavailable });
      continue;
    }
    try {
      return { opened: await open(provider), provider, passedOver };
    } catch (thrown) {
      if (thrown instanceof FarmError) throw thrown;
      const reason = thrown instanceof Error ? thrown.message.trim() : String(thrown);
      passedOver.push({ provider, reason: reason + (await lackOf(provider)) });
    }
  }
  return { opened: undefined, passedOver };
}

/** Libraries that `ldd` did not find, by its output. */
export function librariesNotFound(lddOutput: string): string[] {
  return [...lddOutput.matchAll(/^\s*(\S+) => not found/gm)].map(([, name = '']) => name);
}

/**
 * The libraries that a provider needs and this machine lacks, as the end of a sentence. ONNX Runtime says only that a
 * library does not load, and writes the reason to stderr.
 */
async function lackOf(provider: string): Promise<string> {
  const paths = (PROVIDER_LIBRARIES[provider] ?? []).map((library) => join(bindingFolder(), library));
  if (process.platform !== 'linux' || paths.length === 0) return '';
  const lacking = [...new Set(librariesNotFound((await outputOf('ldd', paths)) ?? ''))];
  if (lacking.length === 0) return '';
  return `; not found here: ${lacking.join(', ')} (they come with the driver, the CUDA runtime and cuDNN)`;
}

/** Where onnxruntime-node keeps its native code: bin/napi-v<N>/<platform>/<arch>. */
function bindingFolder(): string {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  const bin = join(dirname(entry), '..', 'bin');
  const napi = readdirSync(bin).find((name) => name.startsWith('napi-')) ?? 'napi';
  return join(bin, napi, process.platform, process.arch);
}
