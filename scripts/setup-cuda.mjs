/**
 * Fetches onnxruntime-node's CUDA 12 libraries, which are too large for npm, with the package's own script:
 * `npm run setup:cuda` on a machine with an NVIDIA GPU, the CUDA 12 runtime and cuDNN 9. A plain install leaves them out.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../node_modules/onnxruntime-node', import.meta.url));
const LIBRARIES = ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'];
/** Beside the binding, where ONNX Runtime looks for its providers. */
const FOLDER = join(PACKAGE, 'bin', 'napi-v6', process.platform, process.arch);

function main() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return fail(
      `onnxruntime-node has CUDA libraries for Linux x64 only, and this is ${process.platform} ${process.arch}.`,
    );
  }
  if (missingLibraries().length === 0) return say(`the CUDA libraries are already in ${FOLDER}`);
  say('downloading the CUDA 12 libraries of onnxruntime-node (about 300 MB) …');
  const script = join(PACKAGE, 'script', 'install.js');
  const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit', env: installEnvironment() });
  const missing = missingLibraries();
  if (status === 0 && missing.length === 0)
    return say(`done: ${FOLDER}. \`npm run gpu:check\` shows whether they work.`);
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  fail(
    [
      `${missing.join(' and ') || 'the libraries'} could not be fetched.`,
      'The download comes from NuGet (api.nuget.org). Behind a proxy set GLOBAL_AGENT_HTTPS_PROXY and run this again.',
      `Without a way there: on another machine fetch the NuGet package Microsoft.ML.OnnxRuntime.Gpu.Linux ${version}`,
      '(a zip file), and from its folder runtimes/linux-x64/native copy',
      ...LIBRARIES.map((library) => `    ${library}`),
      `of exactly version ${version} into`,
      `    ${FOLDER}`,
      'docs/gpu.md has another source. Then `npm run gpu:check` shows whether they work.',
    ].join('\n'),
  );
}

/** Asks the script for CUDA 12 in plain words: its default depends on how npm was called. */
function installEnvironment() {
  const { ONNXRUNTIME_NODE_INSTALL_CUDA: _, ...environment } = process.env;
  return { ...environment, ONNXRUNTIME_NODE_INSTALL: 'cuda12' };
}

function missingLibraries() {
  return LIBRARIES.filter((library) => !existsSync(join(FOLDER, library)));
}

function say(words) {
  process.stdout.write(`setup:cuda: ${words}\n`);
}

function fail(words) {
  process.stderr.write(`\nsetup:cuda: ${words}\n`);
  process.exitCode = 1;
}

main();
