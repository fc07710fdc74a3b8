/** The value of a JSON text; undefined for what is none, which no schema takes. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // As said above.
  }
}
