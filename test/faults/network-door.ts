import { createConnection, createServer } from 'node:net';

/**
 * The only way out of a network namespace: `node network-door.ts <folder> <port> …` listens on these ports of loopback
 * there, and hands each connection to the socket of the same number in the folder, behind which the world outside is.
 */
const [folder = '', ...ports] = process.argv.slice(2);
for (const port of ports) {
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    const outside = createConnection({ path: `${folder}/${port}.sock`, allowHalfOpen: true });
    for (const [from, to] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write(`${port}\n`));
}
