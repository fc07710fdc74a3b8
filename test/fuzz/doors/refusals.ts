import type { ErrorCode } from '../../../shared/errors/catalogue.ts';
import { FarmError } from '../../../shared/errors/farm-error.ts';

/** Does `work`, which may be refused with one of these codes of the catalogue, and with nothing else. */
export async function allowRefusals(
  codes: readonly ErrorCode[],
  input: Uint8Array | string,
  work: () => unknown,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof FarmError && codes.includes(error.code)) return;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`refused with ${error instanceof FarmError ? error.code : what}\n  input: ${show(input)}`, {
      cause: error,
    });
  }
}

/** Short enough for a report; the case can be made again from its seed. */
export function show(input: Uint8Array | string): string {
  const text = JSON.stringify(typeof input === 'string' ? input : Buffer.from(input).toString('latin1'));
  return text.length > 400 ? `${text.slice(0, 400)}… (${input.length})` : text;
}
