/** Says why a file is no checkpoint that can be read. Whoever opens the file adds its name and the error's code. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}
