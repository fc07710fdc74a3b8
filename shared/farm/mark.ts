/** The id of a farm where its files are, and what else shows that a farm has been there. */
export interface FarmMark {
  /** For people: `the data folder /srv/farm`. */
  readonly place: string;
  /** What to do so that it has this id, for people. */
  howToWrite(id: string): string;
  /** What to do so that it shows that a farm has been there. */
  readonly howToShow: string;
  /** As it was written, or undefined. FarmError of the store. */
  read(): Promise<string | undefined>;
  /** Writes it unless there is one. Returns whether this call did. FarmError of the store. */
  writeOnce(id: string): Promise<boolean>;
  /** Whether files of renders are or were there. */
  holdsRenders(): Promise<boolean>;
}

export const MARK_NAME = 'farm.id';
