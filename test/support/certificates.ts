import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface PemFile {
  readonly file: string;
  readonly pem: Buffer;
}

export interface Certificates {
  readonly ca: PemFile;
  readonly serverCertificate: PemFile;
  readonly serverKey: PemFile;
  readonly clientCertificate: PemFile;
  readonly clientKey: PemFile;
}

/** An authority of its own, and what it signed: a server called redis.test and nothing else, and a client. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const pathOf = (name: string) => path.join(folder, name);
  const make = async (name: string, more: readonly string[]) => {
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${name}`, '-keyout', pathOf(`${name}.key`), '-out', pathOf(`${name}.crt`), ...more],
    ]);
  };
  await make('authority', []);
  const signed = ['-CA', pathOf('authority.crt'), '-CAkey', pathOf('authority.key')];
  const leaf = [...signed, '-addext', 'basicConstraints=critical,CA:FALSE'];
  await make('server', [...leaf, '-addext', 'subjectAltName=DNS:redis.test']);
  await make('client', leaf);
  const read = async (name: string) => ({ file: pathOf(name), pem: await readFile(pathOf(name)) });
  return {
    ca: await read('authority.crt'),
    serverCertificate: await read('server.crt'),
    serverKey: await read('server.key'),
    clientCertificate: await read('client.crt'),
    clientKey: await read('client.key'),
  };
}
