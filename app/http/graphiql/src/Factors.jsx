import { registerPasskey, signalAcceptedPasskeys } from "@portico/client/passkeys";
import { useEffect, useState } from "react";
import { Close, Dialog } from "./Dialog.jsx";
import { CODE, NAME, OneField } from "./OneField.jsx";
import { outcomeOf, PasskeysElsewhere, usePasskeys } from "./passkeys.jsx";
import { productName } from "./product.js";
import { QrCode } from "./QrCode.jsx";
import { ask, session } from "./session.js";

const PROBLEM = "__typename ... on Problem { message }";
const FACTORS = `{
  result: me {
    __typename
    factors { __typename id createdAt lastUsedAt ... on Passkey { name isBackedUp } }
    recoveryCodesLeft
  }
}`;
const BEGIN = `mutation BeginTotpEnrollment {
  result: beginTotpEnrollment { ${PROBLEM} ... on TotpEnrollment { secret otpauthUri } }
}`;
const CONFIRM = `mutation ConfirmTotpEnrollment($input: ConfirmTotpEnrollmentInput!) {
  result: confirmTotpEnrollment(input: $input) { ${PROBLEM} ... on FactorAdded { recoveryCodes } }
}`;
const REMOVE = `mutation RemoveFactor($input: RemoveFactorInput!) {
  result: removeFactor(input: $input) { ${PROBLEM} }
}`;
const RENAME = `mutation RenamePasskey($input: RenamePasskeyInput!) {
  result: renamePasskey(input: $input) { ${PROBLEM} }
}`;
const RENEW = "mutation RenewRecoveryCodes { result: renewRecoveryCodes { __typename codes } }";
const VERIFY = `mutation RequestEmailVerification($input: EmailInput!) {
  result: requestEmailVerification(input: $input) { ${PROBLEM} ... on RequestAccepted { message } }
}`;

const NO_NEW_CODES =
  "It was added, without new recovery codes. If you have none of before, renew them.";
// What is asked before it is done.
const RENEWAL = {
  question: "Make ten new recovery codes? Those that you have, printed ones too, stop working.",
  action: "Make new codes",
};
const REMOVALS = {
  TotpFactor: {
    question:
      "Remove this app? Without another factor, signing in needs the password alone, and the " +
      "recovery codes that you have, printed ones too, stop working.",
    action: "Remove the app",
  },
  Passkey: {
    question:
      "Remove this passkey? It no longer signs in. Without another factor, signing in needs the " +
      "password alone, and the recovery codes that you have, printed ones too, stop working.",
    action: "Remove the passkey",
  },
};

/** The second factor of the user who is signed in. Each step is the outcome that led to it. */
export function Factors({ user, onClose }) {
  const [step, setStep] = useState(null);
  const [notice, setNotice] = useState("");
  const [busy, setBusy] = useState(false);

  const run = async (document, input, next = go) => {
    if (busy) return;
    setBusy(true);
    setNotice("");
    const outcome = await ask(document, input && { input });
    setBusy(false);
    next(outcome);
  };
  /** Shows what is the case now, below what has just happened. */
  const show = ({ message = "" } = {}) =>
    run(FACTORS, undefined, (outcome) => {
      setStep(outcome);
      setNotice(message);
    });
  const go = (outcome) => (outcome.__typename in views ? setStep(outcome) : show(outcome));
  useEffect(() => void show(), []);

  const showAdded = ({ recoveryCodes: codes }) =>
    codes ? setStep({ __typename: "RecoveryCodes", codes }) : show({ message: NO_NEW_CODES });

  const confirm = async (code) => {
    const outcome = await ask(CONFIRM, { input: { code } });
    if (outcome.__typename === "FactorAdded") showAdded(outcome);
    else if (outcome.__typename === "ChallengeExpired") show(outcome);
    return outcome.message;
  };

  const addPasskey = async () => {
    if (busy) return;
    setBusy(true);
    setNotice("");
    const outcome = await outcomeOf(registerPasskey(session));
    setBusy(false);
    if (outcome.__typename === "FactorAdded") showAdded(outcome);
    else if (outcome.code === "EMAIL_NOT_VERIFIED")
      setStep({ ...outcome, __typename: "EmailNotVerified" });
    else setNotice(outcome.message);
  };

  const rename = async (name) => {
    const outcome = await ask(RENAME, { input: { passkeyId: step.id, name } });
    if (!outcome.message) show();
    return outcome.message;
  };

  const doAsked = async (...request) => {
    await run(...request);
    // It may have been a passkey.
    signalAcceptedPasskeys(session);
  };

  const askFirst = (what, ...request) => {
    setNotice("");
    setStep({ __typename: "Question", ...what, request });
  };

  const views = {
    User: () => (
      <Enrolled
        {...step}
        busy={busy}
        onAdd={() => run(BEGIN)}
        onAddPasskey={addPasskey}
        onRename={({ id, name }) => setStep({ __typename: "Renaming", id, name })}
        onRenew={() => askFirst(RENEWAL, RENEW)}
        onRemove={({ __typename, id }) => askFirst(REMOVALS[__typename], REMOVE, { factorId: id })}
      />
    ),
    Question: () => (
      <Question {...step} busy={busy} onYes={() => doAsked(...step.request)} onNo={() => show()} />
    ),
    Renaming: () => (
      <OneField
        field={{ ...NAME, defaultValue: step.name }}
        onSubmit={rename}
        submit="Rename"
        aria-label="New name"
      />
    ),
    TotpEnrollment: () => <Enrollment {...step} onConfirm={confirm} />,
    RecoveryCodes: () => <RecoveryCodes codes={step.codes} onDone={() => show()} />,
    EmailNotVerified: () => (
      <>
        <p>{step.message}</p>
        <Button busy={busy} onClick={() => run(VERIFY, { email: user.email })}>
          Send a link to {user.email}
        </Button>
      </>
    ),
  };
  const isLastChance = step?.__typename === "RecoveryCodes";
  const view = views[step?.__typename] ?? (() => <p>{step?.message ?? "Loading …"}</p>);

  return (
    <Dialog title="Two-step sign-in" onClose={onClose} staysOpen={isLastChance}>
      <p role="status">{notice}</p>
      {view()}
      {!isLastChance && <Close />}
    </Dialog>
  );
}

const Button = ({ busy, ...rest }) => <button type="button" aria-disabled={busy} {...rest} />;

function Enrolled({ factors, recoveryCodesLeft, busy, onRenew, onRename, onRemove, ...adding }) {
  const hasApp = factors.some(({ __typename }) => __typename === "TotpFactor");
  return (
    <>
      {factors.length ? (
        <ul>
          {factors.map((factor) => (
            <li key={factor.id}>
              {textOf(factor)}{" "}
              {factor.__typename === "Passkey" && (
                <Button busy={busy} onClick={() => onRename(factor)}>
                  Rename
                </Button>
              )}{" "}
              <Button busy={busy} onClick={() => onRemove(factor)}>
                Remove
              </Button>
            </li>
          ))}
        </ul>
      ) : (
        <p>
          After your password, a passkey or a code of an app on your phone is asked for. A passkey
          also signs in without the password.
        </p>
      )}
      <Adding busy={busy} hasApp={hasApp} {...adding} />
      {factors.length > 0 && (
        <p>
          Recovery codes left: {recoveryCodesLeft}{" "}
          <Button busy={busy} onClick={onRenew}>
            Renew recovery codes
          </Button>
        </p>
      )}
    </>
  );
}

function Adding({ busy, hasApp, onAdd, onAddPasskey }) {
  const [canUsePasskeys, areOffered] = usePasskeys();
  return (
    <>
      <p>
        {canUsePasskeys && (
          <Button busy={busy} onClick={onAddPasskey}>
            Add a passkey
          </Button>
        )}{" "}
        {!hasApp && (
          <Button busy={busy} onClick={onAdd}>
            Add an authenticator app
          </Button>
        )}
      </p>
      {areOffered && <PasskeysElsewhere />}
    </>
  );
}

function textOf({ __typename, name, isBackedUp, createdAt, lastUsedAt }) {
  const times = `added ${timeOf(createdAt)}, last used ${timeOf(lastUsedAt)}`;
  if (__typename !== "Passkey") return `Authenticator app, ${times}`;
  return `Passkey “${name}”, ${isBackedUp ? "backed up" : "on one device only"}, ${times}`;
}

const Question = ({ question, action, busy, onYes, onNo }) => (
  <>
    <p>{question}</p>
    <p>
      <Button busy={busy} onClick={onYes}>
        {action}
      </Button>{" "}
      <Button busy={busy} autoFocus onClick={onNo}>
        Keep as it is
      </Button>
    </p>
  </>
);

const timeOf = (text) => (text ? new Date(text).toLocaleString() : "never");

const Enrollment = ({ secret, otpauthUri, onConfirm }) => (
  <>
    <p>Scan this with your authenticator app, and enter the code that it shows.</p>
    <QrCode text={otpauthUri} label="QR code for an authenticator app" />
    <p>
      Or enter this key: <code>{secret.match(/.{1,4}/g).join(" ")}</code>
    </p>
    <OneField field={CODE} onSubmit={onConfirm} submit="Confirm" aria-label="First code" />
  </>
);

function RecoveryCodes({ codes, onDone }) {
  const [copied, setCopied] = useState("");
  const [file, setFile] = useState();
  const text = `Recovery codes of ${productName}, each for one sign-in:\n\n${codes.join("\n")}\n`;

  useEffect(() => {
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    setFile(url);
    return () => URL.revokeObjectURL(url);
  }, [text]);

  // Over http, browsers let pages copy on loopback only: there is no `clipboard` then.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied("Copied.");
    } catch {
      setCopied("This browser did not let the page copy: download the codes, or write them down.");
    }
  };

  return (
    <>
      <p>
        Each of these codes replaces your app once. Keep them where your phone is not:{" "}
        <strong>they are not shown again.</strong>
      </p>
      <ul className="portico-codes">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <p>
        <Button onClick={copy}>Copy</Button>{" "}
        <a href={file} download="recovery-codes.txt">
          Download
        </a>
      </p>
      <p role="status">{copied}</p>
      <Button onClick={onDone}>I have kept them</Button>
    </>
  );
}
