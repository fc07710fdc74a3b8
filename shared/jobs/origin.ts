import { z } from 'zod';

/** Where work came from: it goes with the jobs, so that what workers log and trace can be found by it. */
export const originSchema = z.object({
  /** Id of the HTTP request or gRPC call: what its sender put into `x-request-id`, or one of the farm's own. */
  request: z.string(),
  /** W3C `traceparent` of the span that asked for the work; absent where the trace is not kept. */
  trace: z.string().optional(),
  /** W3C `tracestate` that came with it: what other systems of the trace have to say to each other. */
  state: z.string().optional(),
});
export type Origin = z.infer<typeof originSchema>;
