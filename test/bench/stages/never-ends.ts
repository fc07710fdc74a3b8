import type { Stage } from '../../../bench/harness/contract.ts';

export const stage: Stage = {
  about: 'never ends by itself',
  limitS: 10,
  measure: () => new Promise(() => setInterval(() => {}, 1000)),
};
