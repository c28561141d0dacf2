import { useState } from "react";
import { Card } from "./Page";

/** Shows codes that cannot be read again. */
export function RecoveryCodes({ codes, stored }: { codes: readonly string[]; stored: () => void }) {
  const [copied, setCopied] = useState("");
  const text = codes.join("\n");

  async function copy() {
    await navigator.clipboard.writeText(text).then(
      () => { setCopied("Copied."); },
      () => { setCopied("The browser did not allow it. Download them instead."); },
    );
  }

  return (
    <Card title="Your recovery codes" focused>
      <p>Each signs you in once without your authenticator app. Keep them in a safe place: they are not shown again.</p>
      <ol className="codes">
        {codes.map((code) => <li key={code}><code>{code}</code></li>)}
      </ol>
      <div className="bar">
        <button className="quiet" onClick={() => copy()}>Copy</button>
        <a className="button" download="recovery-codes.txt" href={`data:text/plain,${encodeURIComponent(text)}`}>Download</a>
        <button onClick={stored}>I have stored them</button>
      </div>
      <p role="status">{copied}</p>
    </Card>
  );
}
