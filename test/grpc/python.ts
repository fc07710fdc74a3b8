import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Clients in Python, with stubs made from the .proto files as their users make them. */

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Why tests with Python are skipped; false where it has gRPC. */
export const noPythonGrpc: string | false = await run(PYTHON, ['-c', 'import grpc, grpc_tools.protoc']).then(
  () => false,
  () => `${PYTHON} cannot import grpc and grpc_tools: apt install python3-grpcio python3-grpc-tools`,
);

/** Writes the stubs of these files of proto/, by name, into a folder. */
export async function makeStubs(folder: string, ...names: readonly string[]): Promise<void> {
  const outputs = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
  const protos = names.map((name) => `proto/${name}.proto`);
  await run(PYTHON, ['-m', 'grpc_tools.protoc', '-I', 'proto', ...outputs, ...protos], { cwd: ROOT });
}

/** Runs a script of the repository with the stubs in a folder; rejects when it fails. */
export async function runPython(stubs: string, script: string, ...args: string[]): Promise<{ stdout: string }> {
  return await run(PYTHON, [`${ROOT}${script}`, ...args], {
    env: { ...process.env, PYTHONPATH: stubs, PYTHONDONTWRITEBYTECODE: '1' },
  });
}
