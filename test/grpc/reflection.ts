import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const REFLECTION_PROTO = new URL(
  'build/proto/grpc/reflection/v1/reflection.proto',
  import.meta.resolve('@grpc/reflection/package.json'),
);

/** The names that grpcurl would list. */
export async function reflectedServices(address: string): Promise<string[]> {
  const { grpc } = loadPackageDefinition(loadSync(REFLECTION_PROTO.pathname, { keepCase: true })) as unknown as {
    grpc: { reflection: { v1: { ServerReflection: ServiceClientConstructor } } };
  };
  const client = new grpc.reflection.v1.ServerReflection(address, credentials.createInsecure());
  const call = client.ServerReflectionInfo?.();
  try {
    call.write({ list_services: '' });
    for await (const { list_services_response } of call) {
      return list_services_response.service.map(({ name }: { name: string }) => name);
    }
    throw new Error('No answer');
  } finally {
    call.cancel();
    client.close();
  }
}
