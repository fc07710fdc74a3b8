import { type Row, ratioToLimit } from './contract.ts';

/** The rows of all stages as text. `than`: the rows of an earlier run, for a column that compares. */
export function tableOf(rows: readonly Row[], than?: readonly Row[]): string {
  const heads = [
    '',
    'median',
    'p10 – p90',
    'unit',
    'CPU ms',
    'limit',
    'of limit',
    ...(than ? ['earlier', 'change'] : []),
  ];
  const lines = [heads, ...rows.map((row) => cells(row, than))];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => align(cell, widths[column] ?? 0, column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cells(row: Row, than: readonly Row[] | undefined): string[] {
  const ratio = ratioToLimit(row);
  const sign = row.limitIs === 'most' ? '≤' : '≥';
  return [
    row.name,
    figure(row.median),
    `${figure(row.p10)} – ${figure(row.p90)}`,
    row.unit,
    row.cpuMs === null ? '' : figure(row.cpuMs),
    row.limit === null ? '' : `${sign} ${figure(row.limit)}`,
    ratio === undefined ? '' : `${ratio.toFixed(2)}${ratio > 1 ? ' ✗' : ''}`,
    ...(than ? compared(row, than) : []),
  ];
}

/** The earlier median, and by how many percent this one differs from it. */
function compared(row: Row, than: readonly Row[]): [earlier: string, change: string] {
  const earlier = than.find(({ name, unit }) => name === row.name && unit === row.unit);
  if (!earlier) return ['', 'new'];
  const percent = 100 * (row.median / earlier.median - 1);
  return [
    figure(earlier.median),
    Number.isFinite(percent) ? `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(0)} %` : '',
  ];
}

/** Three digits that say something. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function align(cell: string, width: number, column: number): string {
  return column === 0 || column === 3 ? cell.padEnd(width) : cell.padStart(width);
}
