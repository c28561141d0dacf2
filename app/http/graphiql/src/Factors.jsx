import { useEffect, useState } from "react";
import { Close, Dialog } from "./Dialog.jsx";
import { CODE, OneField } from "./OneField.jsx";
import { productName } from "./product.js";
import { QrCode } from "./QrCode.jsx";
import { ask } from "./session.js";

const PROBLEM = "__typename ... on Problem { message }";
const FACTORS = `{
  result: me { __typename factors { id createdAt lastUsedAt } recoveryCodesLeft }
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
const RENEW = "mutation RenewRecoveryCodes { result: renewRecoveryCodes { __typename codes } }";
const VERIFY = `mutation RequestEmailVerification($input: EmailInput!) {
  result: requestEmailVerification(input: $input) { ${PROBLEM} ... on RequestAccepted { message } }
}`;

const NO_NEW_CODES =
  "The app was added, without new recovery codes. If you have none of before, renew them.";
// What is asked before it is done.
const RENEWAL = {
  question: "Make ten new recovery codes? Those that you have, printed ones too, stop working.",
  action: "Make new codes",
};
const REMOVAL = {
  question:
    "Remove this app? Without another one, signing in needs the password alone, and the recovery " +
    "codes that you have, printed ones too, stop working.",
  action: "Remove the app",
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

  const confirm = async (code) => {
    const outcome = await ask(CONFIRM, { input: { code } });
    const { __typename, recoveryCodes: codes, message } = outcome;
    if (codes) setStep({ __typename: "RecoveryCodes", codes });
    else if (__typename === "FactorAdded") show({ message: NO_NEW_CODES });
    else if (__typename === "ChallengeExpired") show(outcome);
    return message;
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
        onRenew={() => askFirst(RENEWAL, RENEW)}
        onRemove={(factorId) => askFirst(REMOVAL, REMOVE, { factorId })}
      />
    ),
    Question: () => (
      <Question {...step} busy={busy} onYes={() => run(...step.request)} onNo={() => show()} />
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

function Enrolled({ factors, recoveryCodesLeft, busy, onAdd, onRenew, onRemove }) {
  if (!factors.length) {
    return (
      <>
        <p>After your password, a code of an app on your phone is asked for.</p>
        <Button busy={busy} onClick={onAdd}>
          Add an authenticator app
        </Button>
      </>
    );
  }
  return (
    <>
      <ul>
        {factors.map(({ id, createdAt, lastUsedAt }) => (
          <li key={id}>
            Authenticator app, added {timeOf(createdAt)}, last used {timeOf(lastUsedAt)}{" "}
            <Button busy={busy} onClick={() => onRemove(id)}>
              Remove
            </Button>
          </li>
        ))}
      </ul>
      <p>
        Recovery codes left: {recoveryCodesLeft}{" "}
        <Button busy={busy} onClick={onRenew}>
          Renew recovery codes
        </Button>
      </p>
    </>
  );
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
