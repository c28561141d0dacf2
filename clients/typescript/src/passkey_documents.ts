// What passkeys ask of Portico, besides what a session asks.
import { mutation, PROBLEM } from "./selections.js";

const OPTIONS = "ceremony publicKey";

export const beginSignIn = `mutation BeginPasskeySignIn{result:beginPasskeySignIn{${OPTIONS}}}`;
export const beginRegistration = `mutation BeginPasskeyRegistration{result:beginPasskeyRegistration{${OPTIONS}}}`;
export const beginStepUp = `mutation BeginPasskeyStepUp{result:beginPasskeyStepUp{${OPTIONS}}}`;
export const beginChallenge = mutation("BeginPasskeyChallenge", `${PROBLEM}...on PasskeyOptions{${OPTIONS}}`);
export const finishRegistration = mutation(
  "FinishPasskeyRegistration",
  `${PROBLEM}...on FactorAdded{recoveryCodes factor{id createdAt lastUsedAt ...on Passkey{name isBackedUp}}}`,
);
export const stepUp = mutation("StepUp", `${PROBLEM}...on SteppedUp{session{authenticatedAt}}`);
export const acceptedPasskeys =
  "query AcceptedPasskeys{result:me{acceptedPasskeys{rpId userId allAcceptedCredentialIds}}}";
