import { useEffect, useState } from "react";
import { useBlocker } from "react-router";
import { explain } from "../results";
import { Card } from "./Page";
import { Question } from "./Question";

interface RecoveryCodesProps {
  codes: readonly string[];
  close: () => Promise<void>;
}

/** Shows codes that cannot be read again. */
export function RecoveryCodes({ codes, close }: RecoveryCodesProps) {
  const [notice, setNotice] = useState("");
  const blocker = useBlocker(true);
  useEffect(warnBeforeUnload, []);
  const text = codes.join("\n");

  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setNotice("Copied.");
    } catch { // refused, or missing: browsers have it on pages of https and of localhost only
      setNotice("The browser did not allow it. Download them instead.");
    }
  }

  async function finish() {
    await close().catch((error: unknown) => { setNotice(explain(error)); });
  }

  return (
    <Card title="Your recovery codes" focused>
      <p>With your password, each signs you in once without a passkey or an authenticator app. Keep them in a safe place: they are not shown again.</p>
      <ol className="codes">
        {codes.map((code) => <li key={code}><code>{code}</code></li>)}
      </ol>
      <div className="bar">
        <button className="quiet" onClick={copy}>Copy</button>
        <button className="quiet" onClick={() => { download(text); }}>Download</button>
        <button onClick={finish}>I have stored them</button>
      </div>
      <p role="status">{notice}</p>
      {blocker.state === "blocked" && (
        <Question
          title="Leave without the codes?"
          button="Leave"
          answer={(yes) => {
            if (!yes) {
              blocker.reset();
              return;
            }
            blocker.proceed();
            void finish();
          }}
        >
          <p>Your recovery codes are not shown again. Store them before you leave.</p>
        </Question>
      )}
    </Card>
  );
}

function warnBeforeUnload() {
  const warn = (event: BeforeUnloadEvent) => { event.preventDefault(); };
  addEventListener("beforeunload", warn);
  return () => { removeEventListener("beforeunload", warn); };
}

const DOWNLOAD_MS = 10_000; // some browsers read the file after the click has returned

/** Not a `data:` URL, which stays in the browser's list of downloads with all that it holds. */
function download(text: string) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  Object.assign(document.createElement("a"), { href, download: "recovery-codes.txt" }).click();
  setTimeout(() => { URL.revokeObjectURL(href); }, DOWNLOAD_MS);
}
