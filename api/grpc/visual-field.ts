import { ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder } from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors.ts';
import { logged } from '../../shared/process/unheard.ts';
import { VisualInputs } from '../live/visual-inputs.ts';
import { FieldReader } from './field-reader.ts';
import { readWith } from './inside-grpc.ts';
import type { CompositeBatchRequest } from './messages/monolithic.ts';
import { fieldNumber, MONOLITHIC_SERVICE } from './protos.ts';

const METHOD = 'InferBatchComposite';
const PATH = `/${MONOLITHIC_SERVICE}/${METHOD}`;
const FIELD = fieldNumber(MONOLITHIC_SERVICE, METHOD, 'visual_frames');

/** A CompositeBatchRequest as its handler gets it. */
export type ReceivedBatchRequest = Omit<CompositeBatchRequest, 'visual_frames'> & {
  readonly visual_frames: VisualInputs;
};

/** Takes the visual inputs out of requests while these come in: most of a request's bytes are never kept. */
export function takeVisualInputs(maxMessageBytes: number): ServerInterceptor {
  return ({ path }, call) => {
    if (path !== PATH) return new ServerInterceptingCall(call);
    let taken: VisualInputs | undefined;
    readWith(
      call,
      new FieldReader(maxMessageBytes, FIELD, (byteLength) => {
        taken = new VisualInputs(byteLength);
        return taken;
      }),
    );
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((message: CompositeBatchRequest | FarmError, next) => {
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

function withInputs(message: CompositeBatchRequest, inputs: VisualInputs): ReceivedBatchRequest {
  return { ...message, visual_frames: inputs };
}
