import { z } from 'zod';
import { BATCH_FRAMES } from '../limits.ts';
import { listenAddress, orDefault, section } from './value-forms.ts';

/** A day: longer waits are "never". */
const MOST_SECONDS = 86_400;
const ADVERTISED_ADDRESS = /^(?:.+:\d{1,5})?$/;

/** The section `live`. */
export const live = section({
  /** Frames of concurrent live requests in one run of the network, on a GPU; on the CPU every frame has its own run. */
  max_batch_frames: orDefault(z.int().min(BATCH_FRAMES.min).max(BATCH_FRAMES.max), 8),
  /** How long a run that is not full waits for more frames. */
  batch_wait_ms: z.number().nonnegative().max(100).default(0),
  /** Streams that a GPU takes at once; 0: as many as it can render at 25 frames a second, as measured. */
  max_streams_per_gpu: z.int().nonnegative().default(0),
  /** An open stream without sound for this long gives its place back until sound comes again. */
  idle_stream_seconds: orDefault(z.number().positive().max(MOST_SECONDS), 120),
  /** How frames get from a worker to a front end: by a connection between the two, or through Redis. */
  frame_channel: orDefault(z.enum(['direct', 'redis']), 'direct'),
  /** Where a front end waits for workers; empty: a socket under storage.root, for those of the same machine. */
  frame_listen: z.preprocess((value) => value || null, listenAddress('').nullable()).default(null),
  /** The address by which workers reach this front end, where it is not that of `frame_listen`. */
  frame_advertise: z.string().regex(ADVERTISED_ADDRESS, 'expected host:port, such as "10.0.0.5:50054"').default(''),
});
