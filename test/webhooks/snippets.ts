import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** The programs in docs/webhooks.md, as a reader copies them. */

const PAGE = await readFile(fileURLToPath(new URL('../../docs/webhooks.md', import.meta.url)), 'utf8');

/** What came to a webhook. */
export interface Delivered {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}
/** Whether a program takes a message for one of the farm's. */
export type Check = (secret: string, message: Delivered) => Promise<boolean>;

/** The only block of a language, or the one that has `word` in it. */
export function snippet(language: string, word = ''): string {
  const blocks = [...PAGE.matchAll(/```(\w+)\n(.*?)```/gs)].filter(([, its]) => its === language);
  const found = blocks.map(([, , code = '']) => code).filter((code) => code.includes(word));
  if (found.length !== 1) throw new Error(`docs/webhooks.md has ${found.length} blocks of ${language} with "${word}"`);
  return found[0] as string;
}

/** What a command prints. @param env beside the environment of the test. */
export async function printed(
  command: readonly string[],
  { cwd, env = {}, input = '' }: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<string> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  // One that needs no input may end before it comes; how it ends is what counts.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
  return output.trim();
}

export const inNode: Check = async (secret, { headers, body }) => {
  const { isGenuine } = await import(`data:text/javascript,${encodeURIComponent(snippet('js'))}`);
  return isGenuine(secret, headers, body);
};

export const inPython: Check = async (secret, { headers, body }) => {
  const call = 'import json, sys\nprint(is_genuine(**json.load(sys.stdin)))';
  const input = JSON.stringify({ secret, headers, body });
  return (await printed(['python3', '-c', `${snippet('python')}\n${call}`], { input })) === 'True';
};

export const inShell: Check = async (secret, { headers, body }) => {
  const cwd = await mkdtemp(path.join(tmpdir(), 'farm-snippet-'));
  try {
    await writeFile(path.join(cwd, 'body.json'), body);
    const [id = '', timestamp = '', signature = ''] = ['id', 'timestamp', 'signature'].map((name) =>
      String(headers[`webhook-${name}`]),
    );
    const said = await printed(['sh', '-c', snippet('sh', 'openssl')], {
      cwd,
      env: { secret, id, timestamp, signature },
    });
    return said === 'genuine';
  } finally {
    await rm(cwd, { recursive: true });
  }
};

/** Why a program cannot be run here; undefined when it can. */
export async function missing(...command: string[]): Promise<string | undefined> {
  return await printed(command).then(
    () => undefined,
    () => `${command[0]} is not installed`,
  );
}
