import { testKeys } from './key-table.ts';
import { gpuKeys } from './tables/gpus.ts';

testKeys(gpuKeys);
