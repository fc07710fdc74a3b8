import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { toolEnvironment } from '../process/environment.ts';
import { ignored } from '../process/unheard.ts';
import { confined, only } from './confined.ts';
import { failureOf, KEPT_TEXT, notStarted, type Tool } from './tool-faults.ts';
import { type ToolLimits, ToolWatch } from './tool-watch.ts';

/**
 * Runs ffmpeg or ffprobe and yields what it writes to standard output. Leaving the loop early kills it. Aborting
 * rejects with the signal's reason, a failure with FarmError('encode_failed') or with the fault of the machine.
 */
export async function* outputOf(program: Tool, args: readonly string[], limits: ToolLimits): AsyncGenerator<Buffer> {
  limits.signal.throwIfAborted();
  using watch = new ToolWatch(program, limits);
  const { command, args: words } = confined(program, [...only('file'), ...args], limits.timeoutMs);
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], env: toolEnvironment() });
  // Without a file descriptor left there is no child to listen to.
  if (!child.stdout) throw notStarted(program, ((await once(child, 'error')) as [Error])[0]);
  const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  closed.catch(ignored('it is awaited once the output has ended'));
  let said = '';
  child.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-KEPT_TEXT);
  });
  const end = () => {
    child.kill('SIGKILL');
    // What it has started itself may hold the other ends open.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  watch.stop.addEventListener('abort', end, { once: true });
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      yield chunk;
      watch.progress();
    }
    const started = closed.catch((error: Error) => Promise.reject(notStarted(program, error)));
    const [exitCode, killedBy] = await watch.orStopped(started);
    if (exitCode !== 0) throw failureOf(program, { exitCode, killedBy, said }, new Error(`It ended with ${exitCode}`));
  } catch (error) {
    throw watch.stop.aborted ? watch.stop.reason : error;
  } finally {
    end();
    await watch.orStopped(closed).catch(ignored('its failure was thrown above, unless the reader had enough'));
  }
}
