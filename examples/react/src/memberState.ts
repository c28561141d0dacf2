/** What the sign-in passes on to the page that it leads to. */
export interface MemberState {
  /** The `performance.timeOrigin` of the document in which the user signed in with a recovery code. */
  recoveryCodeUsedIn?: number | undefined;
}
