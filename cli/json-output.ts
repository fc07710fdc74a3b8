/** What programs read on standard output. */

/** A document, over several lines for who looks at it. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** One line of those that are printed as things happen. */
export function printJsonLine(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
