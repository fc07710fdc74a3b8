import { newestPicture } from '../farm.ts';

/** The newest picture of a render that runs, under an address of this page that is given back when it is another. */
export class NewestPicture {
  #url = '';

  /** Empty while there is none. */
  get url(): string {
    return this.#url;
  }

  /** Keeps the one that is there when the render has none any more, which may be right before its end. */
  async look(renderId: string): Promise<void> {
    const picture = await newestPicture(renderId);
    if (picture) this.#set(URL.createObjectURL(picture));
  }

  forget(): void {
    this.#set('');
  }

  #set(url: string): void {
    URL.revokeObjectURL(this.#url);
    this.#url = url;
  }
}
