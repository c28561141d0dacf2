/** What the parts of the page of factors share. */
export interface FactorProps {
  /** What to tell on the page. */
  tell: (notice: string) => void;
  /**
   * Shows the recovery codes that come with the first factor. They are null with another one, and if the answer that had
   * them was lost on the way. `name` begins a sentence.
   */
  added: (name: string, recoveryCodes: readonly string[] | null) => Promise<void>;
}
