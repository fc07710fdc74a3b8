import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { ignored } from '../../shared/process/unheard.ts';
import { Line } from './line.ts';
import { RespStream, wordsOf } from './resp.ts';

/**
 * Stands between processes and a real Redis, and can lose the answer to any command: the command runs, and before its
 * answer gets through, the connection breaks. Each process has a door of its own, and behind it a line that can be slow
 * or dead.
 */

export interface PassingCommand {
  /** Name of the door that it came through. */
  readonly door: string;
  /** Name and arguments. */
  readonly words: readonly string[];
}

/** True to lose the answer to this command. Asked about every command, in the order in which they come. */
export type Judge = (command: PassingCommand) => boolean;

export class RedisProxy implements AsyncDisposable {
  readonly #url: string;
  readonly #servers: Server[] = [];
  /** The door of each. */
  readonly #sockets = new Map<Socket, string>();
  readonly #lines = new Map<string, Line>();
  /** Whose answers are lost; none at first. */
  judge: Judge = () => false;

  /** @param url of the Redis, on this machine. */
  constructor(url: string) {
    this.#url = url;
  }

  /** Opens a door, and returns the address to give to the process that is to use it. */
  async open(door: string): Promise<string> {
    const server = createServer((client) => this.#serve(door, client));
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(this.#url);
    url.port = String((server.address() as AddressInfo).port);
    return url.href;
  }

  /** Loses the answer to each of these commands once, and returns those that have not come by yet. */
  cutOnce(names: Iterable<string>, nameOf: (command: PassingCommand) => string | undefined): ReadonlySet<string> {
    const left = new Set(names);
    this.judge = (command) => left.delete(`${command.door}: ${nameOf(command)}`);
    return left;
  }

  /** The line behind a door. */
  line(door: string): Line {
    const line = this.#lines.get(door) ?? new Line();
    this.#lines.set(door, line);
    return line;
  }

  /** Breaks every connection through a door; new ones are let in. */
  cut(door: string): void {
    for (const [socket, its] of this.#sockets) if (its === door) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    await Promise.all(this.#servers.map(async (server) => await new Promise((closed) => server.close(closed))));
  }

  #serve(door: string, client: Socket): void {
    const redis = createConnection(Number(new URL(this.#url).port), '127.0.0.1');
    const line = this.line(door);
    const [toRedis, toClient] = [line.queue('commands'), line.queue('answers')];
    const cut = () => {
      client.destroy();
      redis.destroy();
    };
    for (const socket of [client, redis]) {
      socket.setNoDelay();
      this.#sockets.set(socket, door);
      socket.on('error', ignored('its end, which follows, says all'));
    }
    client.on('close', () => {
      this.#sockets.delete(client);
      toRedis.push(() => redis.end());
    });
    redis.on('close', () => {
      this.#sockets.delete(redis);
      toClient.push(() => {
        client.destroy();
        for (const queue of [toRedis, toClient]) line.forget(queue);
      });
    });
    /** For each command that has no answer yet: whether that is to be lost. */
    const waiting: boolean[] = [];
    // Messages to a subscriber are answers to no command.
    let listensOnly = false;
    const commands = new RespStream();
    client.on('data', (chunk) => {
      for (const command of commands.push(chunk as Buffer)) {
        const words = wordsOf(command);
        listensOnly ||= /^p?subscribe$/i.test(words[0] ?? '');
        waiting.push(!listensOnly && this.judge({ door, words }));
        toRedis.push(() => redis.write(command));
      }
    });
    const answers = new RespStream();
    redis.on('data', (chunk) => {
      for (const answer of answers.push(chunk as Buffer)) {
        const isLost = !listensOnly && waiting.shift();
        toClient.push(() => (isLost ? cut() : client.write(answer)));
      }
    });
  }
}
