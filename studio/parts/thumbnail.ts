import { html, type TemplateResult } from 'lit-html';
import type { RenderView } from '../../shared/views/render-view.ts';
import { portrait } from './portrait.ts';

/** Of a contact sheet, in pixels, as worker/quality/contact-sheet.ts lays it out. */
const TILE_WIDTH = 320;
const GAP = 8;
const CAPTION = 26;
const MOST_COLUMNS = 4;

/** The first frame of its contact sheet; of an unfinished one its avatar. */
export function thumbnail({ model_id, links, frames }: RenderView): TemplateResult {
  if (links.contact_sheet === null) return portrait(model_id);
  const place = ({ target }: Event) => showFirstFrame(target as HTMLImageElement, frames.done);
  const hide = ({ target }: Event) => {
    (target as HTMLElement).hidden = true;
  };
  const src = links.contact_sheet;
  return html`<span class="portrait sheet"><img src=${src} alt="" loading="lazy" @load=${place} @error=${hide} /></span>`;
}

/** Has the first frame fill the place, in the middle, at least as large as that. */
function showFirstFrame(sheet: HTMLImageElement, frameCount: number): void {
  const { naturalWidth, naturalHeight, parentElement } = sheet;
  const columns = Math.max(1, Math.round((naturalWidth - GAP) / (TILE_WIDTH + GAP)));
  // A sheet of one row has a frame for each column; larger ones have rows of four.
  const rows = columns < MOST_COLUMNS ? 1 : Math.ceil(Math.min(12, Math.floor(frameCount / 30)) / MOST_COLUMNS);
  const tileHeight = (naturalHeight - GAP) / Math.max(1, rows) - CAPTION - GAP;
  const { clientWidth: width = TILE_WIDTH, clientHeight: height = tileHeight } = parentElement ?? {};
  // A little larger: half a pixel of what is around the frame would be seen.
  const scale = 1.04 * Math.max(width / TILE_WIDTH, height / tileHeight);
  sheet.style.width = `${scale * naturalWidth}px`;
  sheet.style.marginLeft = `${(width - scale * TILE_WIDTH) / 2 - scale * GAP}px`;
  sheet.style.marginTop = `${(height - scale * tileHeight) / 2 - scale * GAP}px`;
}
