import { testKeys } from './key-table.ts';
import { limitKeys } from './tables/limits.ts';

testKeys(limitKeys);
