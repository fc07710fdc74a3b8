import { onEndRequest } from '../../shared/process/end-requests.ts';

/** Says which requests to end come, and ends at the second one. */

const keepsRunning = setInterval(() => {}, 1000);
const stop = onEndRequest({
  first: (reason) => console.log(`first ${reason}`),
  again: (signal) => {
    console.log(`again ${signal}`);
    stop();
    clearInterval(keepsRunning);
  },
});
console.log('listening');
