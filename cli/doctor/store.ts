import { openArtifacts, storeSettings } from '../../shared/artifacts/open.ts';
import type { Config } from '../../shared/config/load.ts';
import { ERROR_CATALOGUE } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { bucketPlace } from '../../shared/s3/bucket-settings.ts';

/** Somebody looks at the terminal meanwhile. */
const PATIENCE_MS = 1000;

interface StoreFinding {
  readonly subject: string;
  readonly state: 'ok' | 'fault';
  readonly text: string;
  readonly remedy?: string;
}

/** Whether this host may write, read and remove objects in the bucket: it does. Nothing where the store is a folder. */
export async function checkStore(config: Config): Promise<StoreFinding[]> {
  const { driver, s3 } = config.storage;
  if (driver !== 's3') return [];
  const subject = 'bucket';
  try {
    const store = openArtifacts(storeSettings(config), { patienceMs: PATIENCE_MS });
    await store.probe();
    for await (const _ of store.list('renders')) break;
    return [{ subject, state: 'ok', text: `an object was written, read and removed in ${bucketPlace(s3)}` }];
  } catch (error) {
    const { code, message } = FarmError.from(error, 'storage_failed');
    return [{ subject, state: 'fault', text: `${code}: ${message}`, remedy: ERROR_CATALOGUE[code].remedy }];
  }
}
