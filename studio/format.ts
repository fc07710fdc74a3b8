/** Numbers and times as people read them. */

/** 75 → "1:15", 3.2 → "0:03". */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** 830 → "0.83 s", 75 000 → "1:15". */
export function duration(ms: number): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s` : clock(ms / 1000);
}

export function megabytes(mb: number): string {
  return mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${mb.toFixed(0)} MB`;
}

const WHEN = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** "3 minutes ago", "yesterday", or the date. @param iso a time as the API writes it. */
export function ago(iso: string, nowMs = Date.now()): string {
  const seconds = (Date.parse(iso) - nowMs) / 1000;
  if (seconds > -60) return AGO.format(Math.min(0, Math.round(seconds)), 'second');
  if (seconds > -3600) return AGO.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86_400) return AGO.format(Math.round(seconds / 3600), 'hour');
  if (seconds > -6 * 86_400) return AGO.format(Math.round(seconds / 86_400), 'day');
  return WHEN.format(Date.parse(iso));
}
