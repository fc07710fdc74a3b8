import { AsyncLocalStorage } from 'node:async_hooks';

/** Carries "something was done" from where it is seen, as in the output of a tool, to the job that it is done for. */

const noters = new AsyncLocalStorage<() => void>();

/** Runs `work`; what it calls tells `note` of its progress. */
export function withProgress<T>(note: () => void, work: () => T): T {
  return noters.run(note, work);
}

/** To be called whenever something was done. Ask for it where the work begins: callbacks of tools come from outside. */
export function progressNoter(): () => void {
  return noters.getStore() ?? nothing;
}

function nothing(): void {
  // Nobody wants to know.
}
