import { spread } from '../../bench/spread.ts';

/** Values by name and by part of the soak. */
export class Timeline {
  readonly #parts: Map<string, number[]>[];
  readonly #startedAtMs = performance.now();
  readonly #partMs: number;

  /** @param parts into which `lengthMs` is divided; what comes later counts to the last one. */
  constructor(lengthMs: number, parts: number) {
    this.#partMs = lengthMs / parts;
    this.#parts = Array.from({ length: parts }, () => new Map());
  }

  note(name: string, value: number): void {
    const part = Math.min(this.#parts.length - 1, Math.floor((performance.now() - this.#startedAtMs) / this.#partMs));
    const values = this.#parts[part]?.get(name) ?? [];
    values.push(value);
    this.#parts[part]?.set(name, values);
  }

  count(name: string): number {
    return this.#parts.reduce((sum, part) => sum + (part.get(name)?.length ?? 0), 0);
  }

  /** Median and 99th percentile of each part, in a line for people. */
  line(name: string): string {
    const cells = this.#parts.map((part) => {
      const values = part.get(name);
      if (!values) return '-';
      const { median, p99 } = spread(values);
      return `${median.toFixed(0)}/${p99.toFixed(0)}`;
    });
    return `${name.padEnd(30)}${cells.map((cell) => cell.padStart(10)).join('')}`;
  }
}
