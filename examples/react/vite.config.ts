import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv } from "vite";

export default defineConfig(({ mode }) => {
  const { VITE_PORTICO_URL: portico } = loadEnv(mode, import.meta.dirname);
  return {
    plugins: [react()],
    // `@portico/client` is a link to its folder, which has a React of its own for its tests.
    resolve: { dedupe: ["react", "react-dom", "@apollo/client"] },
    build: { chunkSizeWarningLimit: 700 }, // kB, of which a browser loads 165 compressed
    server: { port: 5173, strictPort: true },
    preview: {
      port: 5173,
      strictPort: true,
      // What your own server should send with the app.
      headers: {
        "Content-Security-Policy": [
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "img-src 'self'",
          `connect-src ${new URL(portico ?? "http://localhost:8000").origin}`,
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'",
          "require-trusted-types-for 'script'",
        ].join("; "),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
      },
    },
  };
});
