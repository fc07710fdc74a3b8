import type { AddressInfo } from 'node:net';
import { startApi } from '../support/api.ts';
import { dashboardDoor, type HttpDoor, httpDoor, multipartDoor } from './doors/http.ts';
import { fuzz, isChosen } from './fuzz.ts';

const DOORS = ['http', 'multipart', 'dashboard'];

if (isChosen(...DOORS)) {
  const { app, renderIn } = await startApi({ limits: { max_upload_mb: 1 }, server: { queue_size: 1_000_000 } });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const description = (await app.inject('/openapi.json')).json<{ paths: Record<string, unknown> }>();
  const door: HttpDoor = {
    port: (app.server.address() as AddressInfo).port,
    paths: Object.keys(description.paths),
    renderIds: [
      await renderIn('rendering'),
      await renderIn('completed'),
      await renderIn('failed'),
      'rnone',
      'demo',
      '0',
    ],
  };
  fuzz('http', { cases: 200, percent: 11, atOnce: 4 }, httpDoor(door));
  fuzz('multipart', { cases: 100, percent: 10, atOnce: 4 }, multipartDoor(door));
  fuzz('dashboard', { cases: 100, percent: 8, atOnce: 4 }, dashboardDoor(door));
}
