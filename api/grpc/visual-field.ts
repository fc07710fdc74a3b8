import { ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder } from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { logged } from '../../shared/process/unheard.ts';
import { VisualInputs } from '../live/visual-inputs.ts';
import { FieldReader } from './field-reader.ts';
import { readWith } from './inside-grpc.ts';
import { COMPOSITING_SERVICE, fieldNumber, INFERENCE_SERVICE, MONOLITHIC_SERVICE } from './protos.ts';

/** Paths of the calls whose requests have visual inputs, and the number of that field in each. */
const FIELDS: ReadonlyMap<string, number> = new Map(
  (
    [
      [MONOLITHIC_SERVICE, 'InferBatchComposite'],
      [COMPOSITING_SERVICE, 'InferBatchComposite'],
      [INFERENCE_SERVICE, 'InferBatch'],
    ] as const
  ).map(([service, method]) => [`/${service}/${method}`, fieldNumber(service, method, 'visual_frames')]),
);

interface WithVisualFrames {
  readonly visual_frames: Buffer;
}

/** Such a request as its handler gets it. */
export type Received<M extends WithVisualFrames> = Omit<M, 'visual_frames'> & { readonly visual_frames: VisualInputs };

/** Takes the visual inputs out of requests while these come in: most of a request's bytes are never kept. */
export function takeVisualInputs(maxMessageBytes: number): ServerInterceptor {
  return ({ path }, call) => {
    const field = FIELDS.get(path);
    if (field === undefined) return new ServerInterceptingCall(call);
    let taken: VisualInputs | undefined;
    readWith(
      call,
      new FieldReader(maxMessageBytes, field, (byteLength) => {
        taken = new VisualInputs(byteLength);
        return taken;
      }),
    );
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((message: WithVisualFrames | FarmError, next) => {
        if (message instanceof FarmError) return next(message);
        // The reader does not look into compressed messages: theirs come with the message.
        if (message.visual_frames.length === 0) return next(withInputs(message, taken ?? new VisualInputs(0)));
        VisualInputs.of(message.visual_frames)
          .then((inputs) => next(withInputs(message, inputs)))
          .catch(logged('could not hand a message on to its handler'));
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}

function withInputs<M extends WithVisualFrames>(message: M, inputs: VisualInputs): Received<M> {
  return { ...message, visual_frames: inputs };
}
