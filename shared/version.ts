import { readFileSync } from 'node:fs';
import { z } from 'zod';

const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');

/** Of the farm, such as "0.1.0". */
export const FARM_VERSION = z.object({ version: z.string() }).parse(JSON.parse(manifest)).version;
