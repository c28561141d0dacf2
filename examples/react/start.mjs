// Starts Portico and the app. Both end at Ctrl-C, and when one of them ends.
import { spawn } from "node:child_process";

const settings = {
  DATA_DIR: ".data", // an embedded database, with which pages of localhost may use the API
  FRONTEND_URL: "http://localhost:5173", // links in emails lead to the app
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
