// Starts Portico and the app. Both end at Ctrl-C, and when one of them ends.
import { spawn } from "node:child_process";

const APP = "http://localhost:5173";
const settings = {
  DATA_DIR: ".data",
  FRONTEND_URL: APP, // links in emails lead to this app
  CORS_ORIGINS: APP, // its scripts may use the API, with the cookie
  EMAIL_VERIFICATION: "required",
};

const portico = spawn("python3", ["-m", "uv", "run", "--project", "../..", "portico", "serve"], {
  stdio: "inherit",
  env: { ...settings, ...process.env },
});
const app = spawn("vite", { stdio: "inherit" }); // npm has put it into the path

let interrupted = false;
process.on("SIGINT", () => {
  interrupted = true; // the terminal has sent it to both, too: a second one would not let them finish
});
process.on("SIGTERM", stop);
for (const child of [portico, app]) child.on("exit", () => interrupted || stop());

function stop() {
  portico.kill("SIGTERM");
  app.kill("SIGTERM");
}
