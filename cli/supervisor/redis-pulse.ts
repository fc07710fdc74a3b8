import { connect, type Socket } from 'node:net';
import { ignored } from '../../shared/process/unheard.ts';

const ASK_EVERY_MS = 1000;
/** Answers AUTH, and never PING. */
const LET_IN = '+OK';
const CONNECT_AGAIN_MS = 50;

/**
 * Asks a Redis on loopback once a second whether it lives, in the plainest way that there is: PING over a socket of its
 * own. Any answer is a sign of life, a refusal among them.
 */
export class RedisPulse {
  readonly #port: number;
  readonly #password: string;
  readonly #onAnswer: (answer: string) => void;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** @param onAnswer called with each answer: `+PONG`, or `-LOADING …` while it reads its files. */
  constructor({ port, password }: { port: number; password: string }, onAnswer: (answer: string) => void) {
    this.#port = port;
    this.#password = password;
    this.#onAnswer = onAnswer;
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    const ask = () => socket.write('PING\r\n');
    // Who has not shown the password is not told that Redis still reads its files.
    socket.on('connect', () => socket.write(`AUTH ${this.#password}\r\n`));
    socket.on('data', (data) => {
      const answer = data.toString('latin1').trim();
      if (answer === LET_IN) return ask();
      this.#onAnswer(answer);
      this.#after(ASK_EVERY_MS, ask);
    });
    socket.on('error', ignored('it closes the connection, and a closed one is opened again'));
    socket.on('close', () => this.#after(CONNECT_AGAIN_MS, () => this.#connect()));
  }

  #after(waitMs: number, then: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(then, waitMs).unref();
  }
}
