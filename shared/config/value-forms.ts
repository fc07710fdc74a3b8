import { z } from 'zod';

/** Forms of values that several sections of the configuration have. */

/** What is not set, also in the ways of the one-process server, is the default. */
export const orDefault = <T extends z.ZodType>(schema: T, fallback: z.input<T>) =>
  z.preprocess(
    (value) => (value === 0 || value === '' || value === null || value === undefined ? fallback : value),
    schema,
  );

/** A whole number above 0. */
export const positiveInt = (fallback: number) => orDefault(z.int().positive(), fallback);
/** A section of the file, which has no other keys than these. */
export const section = <T extends z.ZodRawShape>(shape: T) => z.preprocess(withoutNulls, z.strictObject(shape));

/** One that may have others as well, which nobody reads. */
export const looseSection = <T extends z.ZodRawShape>(shape: T) => z.preprocess(withoutNulls, z.looseObject(shape));

/** A key without a value, which YAML reads as null, counts as a missing key. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || Array.isArray(value)) return value ?? {};
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, held]) => held !== null));
}

const LISTEN_ADDRESS = /^(?:(?<host>.*):)?(?<port>\d{1,5})$/;
export const LAST_PORT = 65_535;

/** ":50053", "0.0.0.0:50053", "50053" or 50053 → host and port. */
export const listenAddress = (fallback: string) =>
  orDefault(
    z
      .union([z.string(), z.int()])
      .refine(
        (value) => Number(LISTEN_ADDRESS.exec(String(value))?.groups?.port) <= LAST_PORT,
        'expected a port such as ":50053" or "0.0.0.0:50053"',
      )
      .transform((value) => {
        const { host, port } = LISTEN_ADDRESS.exec(String(value))?.groups ?? {};
        return { host: host || undefined, port: Number(port) };
      }),
    fallback,
  );

/** The same for a server that may be left out: null for 0 and what is not set. */
export const optionalListenAddress = z
  .preprocess((value) => value || null, listenAddress('').nullable())
  .transform((address) => (address?.port === 0 ? null : address))
  .default(null);
