import type { Stage } from '../../../bench/harness/contract.ts';

export const stage: Stage = {
  about: 'fails',
  limitS: 10,
  async measure() {
    throw new Error('The network could not be opened');
  },
};
