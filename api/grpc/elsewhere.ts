import { status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Config } from '../../shared/config/load.ts';
import { type GrpcAddress, type GrpcKey, grpcAddresses } from '../../shared/config/open-address.ts';
import { COMPOSITING_SERVICE, INFERENCE_SERVICE, MONOLITHIC_SERVICE, type ServiceName, serviceOf } from './protos.ts';

/** The keys of the ports that the services of other servers have here. */
const PORTS = {
  [MONOLITHIC_SERVICE]: 'server.port',
  [COMPOSITING_SERVICE]: 'server.compositing_port',
  [INFERENCE_SERVICE]: 'server.inference_port',
} as const satisfies Partial<Record<ServiceName, `server.${GrpcKey}`>>;
type Ported = keyof typeof PORTS;

/**
 * For the port of `key`: services whose clients may come here because their server listened on this number. Their calls
 * are answered with UNIMPLEMENTED, and with where the service is.
 */
export function servicesElsewhere(
  config: Config,
  key: GrpcAddress['key'],
): Partial<Record<ServiceName, UntypedServiceImplementation>> {
  const absent = (Object.keys(PORTS) as Ported[]).filter((name) => PORTS[name] !== key);
  return Object.fromEntries(absent.map((name) => [name, refusing(name, whereIs(config, name))]));
}

function whereIs(config: Config, name: Ported): string {
  const found = grpcAddresses(config).find(({ key }) => key === PORTS[name]);
  const place = found
    ? `which is ${found.host}:${found.port}`
    : 'which is off: set it in the configuration of the farm';
  return `This port does not serve ${name}: it is at ${PORTS[name]}, ${place}`;
}

function refusing(name: Ported, details: string): UntypedServiceImplementation {
  const refuse = (_call: unknown, answer: (error: object) => void) => answer({ code: status.UNIMPLEMENTED, details });
  return Object.fromEntries(Object.keys(serviceOf(name)).map((method) => [method, refuse]));
}
