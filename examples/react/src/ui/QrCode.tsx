import encodeQR from "qr";

const BORDER = 2; // of light modules, without which cameras do not find the code

/** Draws the text in this page: what it says reaches nobody else. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const rows = encodeQR(text, "raw", { border: BORDER });
  const dark = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${String(x)} ${String(y)}h1v1h-1z` : "")));
  return (
    <svg className="qr" role="img" aria-label={label} viewBox={`0 0 ${String(rows.length)} ${String(rows.length)}`}>
      <path d={dark.join("")} />
    </svg>
  );
}
