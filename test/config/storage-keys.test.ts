import { testKeys } from './key-table.ts';
import { storageKeys } from './tables/storage.ts';

testKeys(storageKeys);
