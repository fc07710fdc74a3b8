import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PUBLIC_ONLY, refusalOf } from '../../shared/net/address-rules.ts';

const PRIVATE_TOO = { allowPrivate: true, allowed: [] };

const PUBLIC = ['93.184.216.34', '8.8.8.8', '2606:4700::6810:84e5', '::ffff:8.8.8.8', '172.32.0.1', '11.0.0.1'];
const PRIVATE = [
  '127.0.0.1',
  '127.255.255.254',
  '::1',
  '10.0.0.1',
  '172.16.9.9',
  '192.168.1.1',
  '100.64.0.1',
  'fd12::1',
  '::ffff:10.1.2.3',
  '::ffff:7f00:1',
];
const NEVER_UNLISTED = [
  '169.254.169.254',
  '169.254.0.1',
  'fe80::1',
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  '192.0.0.192',
  '0.0.0.0',
  '::',
  '255.255.255.255',
  '224.0.0.1',
  'ff02::1',
  '240.0.0.1',
  '64:ff9b::a00:1',
  '2002:7f00:1::',
  '2001:0:1::1',
  '::ffff:169.254.169.254',
  '192.0.2.1',
  '2001:db8::1',
];

test('public addresses may be asked, and no other unless that is allowed', () => {
  for (const address of PUBLIC) assert.equal(refusalOf(address, PUBLIC_ONLY), undefined, address);
  for (const address of [...PRIVATE, ...NEVER_UNLISTED]) assert.ok(refusalOf(address, PUBLIC_ONLY), address);
});

test('private addresses can be allowed as a whole; link-local, metadata and special ones cannot', () => {
  for (const address of [...PUBLIC, ...PRIVATE]) assert.equal(refusalOf(address, PRIVATE_TOO), undefined, address);
  for (const address of NEVER_UNLISTED) assert.ok(refusalOf(address, PRIVATE_TOO), address);
});

test('a list allows single addresses and networks, and nothing beside them', () => {
  const rules = { allowPrivate: false, allowed: ['127.0.0.1', '10.2.0.0/16', 'fd12::/32', '169.254.169.254'] };
  for (const address of ['127.0.0.1', '10.2.255.1', 'fd12:0:1::1', '169.254.169.254', '::ffff:10.2.0.1'])
    assert.equal(refusalOf(address, rules), undefined, address);
  for (const address of ['127.0.0.2', '10.3.0.1', 'fd13::1', '::1', '169.254.169.253'])
    assert.ok(refusalOf(address, rules), address);
});

test('what is no address is refused', () => {
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', 'fe80::1%eth0'])
    assert.ok(refusalOf(text, PUBLIC_ONLY), text);
});
