import { FarmError } from '../errors/farm-error.ts';

/**
 * What a file of the store that is being written has failed with: whatever the operating system refuses here is a fault
 * of the store, since nobody else chose the place. Any other error stays as it is.
 */
export function writeFault(key: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof FarmError || !('syscall' in error)) return error;
  const { code } = FarmError.from(error, 'storage_failed');
  return new FarmError(code, `Could not write ${key}: ${error.message}`, { cause: error });
}
