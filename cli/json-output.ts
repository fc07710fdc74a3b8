/** What programs read on standard output. */

/** A document, over several lines for who looks at it. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** For people: on standard error where programs read standard output. */
export function sayUnless(json: boolean | undefined, text: string): void {
  (json ? process.stderr : process.stdout).write(`${text}\n`);
}

/** One line of those that are printed as things happen. */
export function printJsonLine(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
