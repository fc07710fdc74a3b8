import { GpuDrains, listenForOrders } from '../../shared/workers/gpu-drains.ts';
import { HostDrains, listenForHostOrders } from '../../shared/workers/host-drains.ts';
import type { WorkerTools } from '../jobs/worker-tools.ts';
import type { Blocklist } from './blocklist.ts';
import type { DrainOrders } from './drain-gate.ts';

type Tools = Pick<WorkerTools, 'connection' | 'subscriber' | 'host'>;

/** Orders about the host of this worker. */
export function ordersOfHost({ connection, subscriber, host }: Tools): DrainOrders {
  const drains = new HostDrains(connection);
  return {
    isDrained: () => drains.has(host.name),
    listen: (wake) => listenForHostOrders(subscriber, host.name, wake),
  };
}

/** Orders about this GPU or its host: it is in service while both are. A resumed GPU tries blocked models again. */
export function ordersOfGpu(gpuId: number, tools: Tools, blocklist: Blocklist): DrainOrders {
  const drains = new GpuDrains(tools.connection);
  const ofHost = ordersOfHost(tools);
  return {
    isDrained: async () => (await drains.has(gpuId)) || (await ofHost.isDrained()),
    listen: async (wake) => {
      await listenForOrders(tools.subscriber, gpuId, (order) => {
        if (order === 'resume') blocklist.clear();
        wake();
      });
      await ofHost.listen(wake);
    },
  };
}
