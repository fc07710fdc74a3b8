import { testKeys } from './key-table.ts';
import { providerKeys } from './tables/providers.ts';

testKeys(providerKeys);
