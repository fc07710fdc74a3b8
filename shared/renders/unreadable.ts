import { z } from 'zod';
import { FarmError } from '../errors/farm-error.ts';

/** For what is kept of a render and has not the form that this version of the farm knows. @param what begins a sentence. */
export function unreadable(what: string, cause: unknown): FarmError {
  const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
  return new FarmError('record_unreadable', `${what} cannot be read: ${reason}`, { cause });
}

/** Passes over what cannot be read, where one must not stand in the way of all others. */
export async function readableOnly<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof FarmError && error.code === 'record_unreadable') return undefined;
    throw error;
  }
}
