import { row, type Stage } from '../../../bench/harness/contract.ts';

export const stage: Stage = {
  about: 'gives a row, and where the build before lies',
  limitS: 10,
  async measure({ before }) {
    return [
      row({ name: `one to nine, before ${before}`, unit: 'ms', values: [9, 1, 5, 3, 7], cpuMs: [2, 4, 3], atMost: 10 }),
    ];
  },
};
