import type { ChildProcess } from 'node:child_process';
import { on } from 'node:events';
import type { ProcessMessage } from '../../shared/process/supervised.ts';

/** Resolves once a process of the farm says that it is ready; rejects when it says that it cannot start. */
export async function untilReady(child: ChildProcess): Promise<void> {
  for await (const [message] of on(child, 'message', { close: ['exit'] }) as AsyncIterable<[ProcessMessage]>) {
    if (message.type === 'ready') return;
    if (message.type === 'failed') throw new Error(message.error.message);
  }
}
