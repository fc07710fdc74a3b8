import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors.ts';
import { ApiKeys } from '../api-keys.ts';
import { toStatus } from './status.ts';

/** Open to everybody, so that load balancers and grpcurl can ask. */
const OPEN_PATHS = ['/grpc.health.', '/grpc.reflection.'];

/**
 * Lets a call pass only with one of the keys in its metadata, as `authorization: Bearer <key>`. The call's handler is
 * not started otherwise. With no keys configured everybody passes.
 */
export function requireApiKey(apiKeys: readonly string[]): ServerInterceptor {
  const keys = new ApiKeys(apiKeys);
  return (method, call) => {
    if (OPEN_PATHS.some((path) => method.path.startsWith(path))) return new ServerInterceptingCall(call);
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        if (keys.accept(presentedKey(metadata))) next(metadata);
        else call.sendStatus(toStatus(new FarmError('unauthorised', 'The call carries no valid API key')));
      })
      .build();
    return new ServerInterceptingCall(call, new ResponderBuilder().withStart((next) => next(listener)).build());
  };
}

function presentedKey(metadata: Metadata): string {
  const [header = ''] = metadata.get('authorization');
  const [scheme, value = ''] = String(header).split(' ');
  return scheme?.toLowerCase() === 'bearer' ? value : '';
}
