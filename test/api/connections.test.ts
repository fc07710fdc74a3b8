import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Connections } from '../../api/http/connections.ts';

async function listen(answer: RequestListener): Promise<{ server: Server; connections: Connections; port: number }> {
  const server = createServer(answer);
  const connections = new Connections(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, connections, port: (server.address() as AddressInfo).port };
}

/** A connection that the server knows of. */
async function open(server: Server, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(server, 'connection');
  return socket;
}

test('a connection on which nothing was ever asked does not hold a closing server up', async () => {
  const { server, connections, port } = await listen((_, response) => void response.end());
  const socket = await open(server, port);
  const ended = once(socket, 'close');
  const closed = once(server, 'close');
  server.close();
  connections.closeUnused();
  await Promise.all([closed, ended]);
});

test('a connection on which an answer is under way gets it whole, and is closed then', async () => {
  const asked = Promise.withResolvers<() => void>();
  const { server, connections, port } = await listen((_, response) => {
    response.write('first ');
    asked.resolve(() => response.end('second'));
  });
  const socket = await open(server, port);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const answer = await asked.promise;
  const closed = once(server, 'close');
  server.close();
  connections.closeUnused();
  answer();
  assert.match(await text(socket), /first[\s\S]*second/);
  await closed;
});

test('a connection that became a WebSocket is left to who serves it', async () => {
  const { server, connections, port } = await listen((_, response) => void response.end());
  const upgraded = once(server, 'upgrade');
  const socket = await open(server, port);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [, serverSide] = (await upgraded) as [unknown, Socket];
  const closed = once(server, 'close');
  server.close();
  connections.closeUnused();
  assert.equal(serverSide.destroyed, false);
  serverSide.end();
  socket.end();
  await closed;
});
