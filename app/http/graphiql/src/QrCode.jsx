import encodeQR from "qr";

const QUIET_ZONE = 4; // modules of white around the code (ISO/IEC 18004)

/** A QR code, drawn here: nobody else sees the text. Dark on light in each colour scheme. */
export function QrCode({ text, label }) {
  const rows = encodeQR(text, "raw", { border: QUIET_ZONE });
  const modules = rows.flatMap((row, y) =>
    row.flatMap((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : [])),
  );
  return (
    <svg
      className="portico-qr"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${rows.length} ${rows.length}`}
      shapeRendering="crispEdges"
    >
      <rect width="100%" height="100%" fill="#fff" />
      <path d={modules.join("")} fill="#000" />
    </svg>
  );
}
