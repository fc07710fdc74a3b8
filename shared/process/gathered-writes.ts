import type { Writable } from 'node:stream';

const gathering = new WeakSet<Writable>();

/**
 * Holds back what is written to a connection until this turn of the event loop is over, so that it leaves in one piece:
 * each piece costs a system call here, and wakes the process at the other end. Call it before a write.
 */
export function gatherWrites(connection: Writable): void {
  if (gathering.has(connection)) return;
  gathering.add(connection);
  connection.cork();
  setImmediate(() => {
    gathering.delete(connection);
    connection.uncork();
  });
}
