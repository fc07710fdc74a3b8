import { after, before, describe, it } from 'node:test';
import { DisturbedRenders, type Fault, type Moment } from './disturbed-render.ts';
import { freeze, kill, MOMENTS, PROCESSES, terminate } from './process-matrix.ts';

/** Every process of a farm, killed and frozen at every moment of a render. */

const SECONDS = 40;

describe('a render is the same', () => {
  let renders: DisturbedRenders;

  before(async () => {
    renders = await DisturbedRenders.start(SECONDS);
  });
  after(async () => await renders[Symbol.asyncDispose]());

  for (const name of PROCESSES) {
    for (const moment of MOMENTS) {
      it(`when ${name} is killed while it is ${moment}`, async (t) => {
        t.diagnostic(`figure: ${await recovery(`kill -9 ${name}`, moment, kill(renders, name))}`);
      });
      it(`when ${name} is frozen while it is ${moment}`, async (t) => {
        t.diagnostic(`figure: ${await recovery(`SIGSTOP ${name} for 10 s`, moment, freeze(renders, name))}`);
      });
      it(`when ${name} is told to end while it is ${moment}`, async (t) => {
        t.diagnostic(`figure: ${await recovery(`SIGTERM ${name}`, moment, terminate(renders, name))}`);
      });
    }
  }

  async function recovery(what: string, moment: Moment, fault: Fault): Promise<string> {
    const endedAfterS = await renders.disturb(moment, fault);
    const undisturbed = `(all of it in peace: ${renders.undisturbedS.toFixed(1)} s)`;
    return `${what}, ${moment}: ended ${endedAfterS.toFixed(1)} s later ${undisturbed}`;
  }
});
