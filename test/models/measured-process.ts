/** A process of its own that loads a model and says what that took: by its registry, and by its resident memory. */

import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { NOT_PREPARING } from '../support/preparing.ts';
import { load, ROOMY } from './registries.ts';

const [entry = ''] = process.argv.slice(2);
const registry = new ModelRegistry({
  providers: ['cpu'],
  threads: { intraOp: 1, interOp: 1 },
  cachedFrames: 2,
  preparing: NOT_PREPARING,
  models: new Map([['ann', JSON.parse(entry)]]),
  limits: ROOMY,
});
const before = process.memoryUsage.rss();
const { memoryBytes } = await load(registry, 'ann');
const grown = process.memoryUsage.rss() - before;
process.stdout.write(JSON.stringify({ memoryBytes, grown }));
await registry.close();
