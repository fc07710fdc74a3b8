import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import type { Role } from '../../shared/api-keys.ts';
import type { Access } from '../access/access.ts';
import type { Caller } from '../access/caller.ts';
import { COMPOSITING_SERVICE, FARM_SERVICE, INFERENCE_SERVICE, MONOLITHIC_SERVICE } from './protos.ts';
import { toStatus } from './status.ts';

/** Open to everybody, so that load balancers and grpcurl can ask. */
const OPEN_PATHS = ['/grpc.health.', '/grpc.reflection.'];

/** The role that each method needs; one that is missing here needs 'admin'. */
export const METHOD_ROLES: Readonly<Record<string, Role>> = {
  [`/${MONOLITHIC_SERVICE}/InferBatchComposite`]: 'render',
  ...modelRoles(MONOLITHIC_SERVICE),
  [`/${COMPOSITING_SERVICE}/InferBatchComposite`]: 'render',
  ...modelRoles(COMPOSITING_SERVICE),
  [`/${INFERENCE_SERVICE}/InferBatch`]: 'render',
  ...modelRoles(INFERENCE_SERVICE),
  [`/${FARM_SERVICE}/Stream`]: 'render',
  [`/${FARM_SERVICE}/SubmitRender`]: 'render',
  [`/${FARM_SERVICE}/SubmitBatch`]: 'render',
  [`/${FARM_SERVICE}/EstimateRender`]: 'render',
  [`/${FARM_SERVICE}/ListRenders`]: 'render',
  [`/${FARM_SERVICE}/GetRender`]: 'render',
  [`/${FARM_SERVICE}/WatchRender`]: 'render',
  [`/${FARM_SERVICE}/CancelRender`]: 'render',
  [`/${FARM_SERVICE}/RetryRender`]: 'render',
};

/** Of what the services of the one-process server and of the separated pair have in common. */
function modelRoles(service: string): Readonly<Record<string, Role>> {
  return {
    [`/${service}/ListModels`]: 'render',
    // Any inference loads its model as well; clients do it before their first one. Reloading one needs 'operate'.
    [`/${service}/LoadModel`]: 'render',
    [`/${service}/UnloadModel`]: 'operate',
    [`/${service}/GetModelStats`]: 'render',
    [`/${service}/Health`]: 'render',
  };
}

/** Whose call it is, by the metadata that came with it: the same object reaches the handler. */
const callers = new WeakMap<Metadata, Caller>();

/**
 * Lets a call pass only with a key that may do it, in its metadata as `authorization: Bearer <key>`. The call's handler
 * is not started otherwise. With no keys configured everybody passes.
 */
export function requireAccess(access: Access): ServerInterceptor {
  return (method, call) => {
    if (isOpenToEverybody(method.path)) return new ServerInterceptingCall(call);
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const attempt = { key: presentedKey(metadata), address: hostOf(call.getPeer()), route: method.path };
        try {
          callers.set(metadata, access.enter({ ...attempt, needs: METHOD_ROLES[method.path] ?? 'admin' }));
        } catch (refusal) {
          call.sendStatus(toStatus(refusal));
          return;
        }
        next(metadata);
      })
      .build();
    return new ServerInterceptingCall(call, new ResponderBuilder().withStart((next) => next(listener)).build());
  };
}

/** Whether a method asks for no key. */
export function isOpenToEverybody(path: string): boolean {
  return OPEN_PATHS.some((start) => path.startsWith(start));
}

/** Whose call it is. */
export function callerOf({ metadata }: { readonly metadata: Metadata }): Caller {
  const caller = callers.get(metadata);
  if (!caller) throw new Error('A call has passed the check of its key and belongs to nobody');
  return caller;
}

/** "127.0.0.1:51234" or "[::1]:51234" without the port. */
export function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

function presentedKey(metadata: Metadata): string {
  const [header = ''] = metadata.get('authorization');
  const [scheme, value = ''] = String(header).split(' ');
  return scheme?.toLowerCase() === 'bearer' ? value : '';
}
