/** Log levels of pino that are worth a word. */
const LEVEL_NAMES: Record<number, string> = { 40: 'WARN ', 50: 'ERROR ', 60: 'FATAL ' };
/** What would move the cursor, change colours or the title of the terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about.
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
const OWN_FIELDS = new Set(['level', 'time', 'process', 'msg', 'err']);

/**
 * A process's line as a person reads it: JSON log lines become "12:00:01 gpu-0  message key=value". Text of clients may
 * be in it, so characters that a terminal would obey are shown as `\\u001b`; only line breaks inside a message stay.
 */
export function formatLine(name: string, line: string): string {
  return asWords(name, line).replaceAll(CONTROLS, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function asWords(name: string, line: string): string {
  const entry = parseEntry(line);
  const label = name.padEnd(6);
  if (!entry) return `${new Date().toTimeString().slice(0, 8)} ${label} ${line}`;
  const at = new Date(entry.time).toTimeString().slice(0, 8);
  const details = Object.entries(entry)
    .filter(([key]) => !OWN_FIELDS.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const reason = 'reason' in entry ? undefined : messageOf(entry.err);
  const why = reason === undefined ? [] : [`reason=${reason}`];
  return [`${at} ${label} ${LEVEL_NAMES[entry.level] ?? ''}${entry.msg}`, ...details, ...why].join('  ');
}

/** Of an error as the logger writes it; undefined for anything else. */
function messageOf(error: unknown): string | undefined {
  const isError = typeof error === 'object' && error !== null && 'message' in error;
  return isError && typeof error.message === 'string' ? error.message : undefined;
}

/** What a process wrote: the object of a logger's line, or the text of any other. */
export function entryOf(line: string): object | string {
  return parseEntry(line) ?? line;
}

interface LogEntry extends Record<string, unknown> {
  level: number;
  time: number;
  msg: string;
}

function parseEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line) as LogEntry;
    return typeof entry.time === 'number' && typeof entry.msg === 'string' ? entry : undefined;
  } catch {
    return undefined; // Not a line of a logger: shown as it is.
  }
}
