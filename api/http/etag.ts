/**
 * Whether an If-None-Match header names the tag (RFC 9110 §13.1.2): a list of tags, weak ones too, or `*` for whatever
 * there is.
 */
export function namesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const tags = header.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => tag.replace(/^W\//, '') === etag);
}
