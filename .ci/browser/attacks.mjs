// What a page of an attacker can do in a browser to send an operation with the cookies of others,
// without and with asking first (a CORS preflight).

const simple = { method: "POST", credentials: "include", mode: "no-cors" };
const json = { ...simple, mode: "cors", headers: { "content-type": "application/json" } };
/** Each attack: the step that a page takes, and what reaches Portico of it. */
const ATTACKS = {
  "a form of text/plain": [["submits", "text/plain"], ["POST 415"]],
  "a form": [["submits", "application/x-www-form-urlencoded"], ["POST 415"]],
  "a form of multipart/form-data": [["submits", "multipart/form-data"], ["POST 415"]],
  "a form in a sandboxed frame": [["submitsInSandbox"], ["POST 415"]],
  "a script that asks first": [["fetches", json], ["OPTIONS 403"]],
  "a script in a sandboxed frame that asks first": [["fetchesInSandbox", json], ["OPTIONS 403"]],
  "a script without a type": [["fetchesUntyped", simple], ["POST 415"]],
  "a script of text/plain": [["fetches", simple], ["POST 415"]],
  "a script whose type the browser removes": [["fetches", { ...json, mode: "no-cors" }], ["POST 415"]],
  "a script in a sandboxed frame": [["fetchesInSandbox", simple], ["POST 415"]],
  "a script that outlives its page": [["fetches", { ...simple, keepalive: true }], ["POST 415"]],
  "a redirected request": [["isRedirected", simple], ["POST 415"]],
  "a redirected request that asks first": [["isRedirected", json], ["OPTIONS 403"]],
  "a service worker": [["worksInService", simple], ["POST 415"]],
  "a service worker that asks first": [["worksInService", json], ["OPTIONS 403"]],
  "a beacon": [["signals", "text/plain"], ["POST 415"]],
  "a beacon without a type": [["signals", ""], ["POST 415"]],
  "a beacon of JSON": [["signals", "application/json"], ["OPTIONS 403"]],
  "an image": [["loadsImage"], ["GET 405"]],
  "a script element": [["loadsScript"], ["GET 405"]],
  "a frame": [["loadsFrame"], ["GET 405"]],
};

/** Defines the steps of attacks in a page: `attack(step, endpoint, operation, detail)`. */
function defineSteps() {
  const loaded = (element) =>
    new Promise((resolve) => {
      element.onload = element.onerror = resolve;
      document.body.append(element);
    });
  const make = (tag, attributes) => Object.assign(document.createElement(tag), attributes);
  // The name and value of a field make JSON of the body of a form in text/plain.
  const form = (endpoint, operation, type) => {
    const [name, value] = [`${JSON.stringify(operation).slice(0, -1)},"extensions":{"a":"`, '"}}'];
    const made = make("form", { action: endpoint, method: "POST", enctype: type });
    made.append(make("input", { name, value }));
    return made;
  };
  const read = (promise) => promise.then(() => "answered", () => "failed");
  const sandbox = (content) =>
    new Promise((resolve) => {
      const frame = make("iframe", { srcdoc: content });
      frame.sandbox = "allow-scripts allow-forms";
      addEventListener("message", ({ data }) => resolve(data), { once: true });
      document.body.append(frame);
    });
  const steps = {
    async submits(endpoint, operation, type) {
      const frame = make("iframe", { name: `frame${Math.random()}` });
      await loaded(frame);
      const made = Object.assign(form(endpoint, operation, type), { target: frame.name });
      document.body.append(made);
      await new Promise((resolve) => {
        frame.onload = resolve;
        made.submit();
      });
    },
    async submitsInSandbox(endpoint, operation) {
      const { outerHTML } = form(endpoint, operation, "text/plain");
      const send = `parent.postMessage("sent", "*"); document.forms[0].submit()`;
      await sandbox(`${outerHTML}<script>${send}</script>`);
    },
    fetches: (endpoint, operation, init) =>
      read(fetch(endpoint, { ...init, body: JSON.stringify(operation) })),
    fetchesUntyped: (endpoint, operation, init) =>
      read(fetch(endpoint, { ...init, body: new Blob([JSON.stringify(operation)]) })),
    fetchesInSandbox(endpoint, operation, init) {
      const options = JSON.stringify({ ...init, body: JSON.stringify(operation) });
      return sandbox(`<script>
        fetch(${JSON.stringify(endpoint)}, ${options}).then(() => "answered", () => "failed")
          .then((end) => parent.postMessage(end, "*"))</script>`);
    },
    isRedirected: (endpoint, operation, init) =>
      steps.fetches(`/redirect?to=${encodeURIComponent(endpoint)}`, operation, init),
    async worksInService(endpoint, operation, init) {
      await navigator.serviceWorker.register("/worker.js");
      const { active } = await navigator.serviceWorker.ready;
      const { port1, port2 } = new MessageChannel();
      const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
      active.postMessage([endpoint, { ...init, body: JSON.stringify(operation) }], [port2]);
      return answer;
    },
    signals(endpoint, operation, type) {
      navigator.sendBeacon(endpoint, new Blob([JSON.stringify(operation)], { type }));
    },
    loadsImage: (endpoint, operation) =>
      loaded(make("img", { src: steps.url(endpoint, operation) })),
    loadsScript: (endpoint, operation) =>
      loaded(make("script", { src: steps.url(endpoint, operation) })),
    loadsFrame: (endpoint, operation) =>
      loaded(make("iframe", { src: steps.url(endpoint, operation) })),
    url: (endpoint, { query, variables }) =>
      `${endpoint}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`,
  };
  window.attack = async (step, ...rest) => steps[step](...rest);
}

/** What reaches Portico if every attack fails. */
export const EXPECTED = Object.fromEntries(
  Object.entries(ATTACKS).map(([name, [, expected]]) => [name, expected]),
);

/** Runs every attack from a page. Returns what reached Portico of each, and with which cookies. */
export async function attackFrom(page, endpoint, operation, seen) {
  await page.evaluate(defineSteps);
  const reached = {};
  const cookies = [];
  for (const [name, [[step, detail], expected]] of Object.entries(ATTACKS)) {
    seen.length = 0;
    await page.evaluate((call) => window.attack(...call), [step, endpoint, operation, detail]);
    await until(() => seen.length >= expected.length);
    reached[name] = seen.map(({ text }) => text);
    cookies.push(...seen.map((request) => request.cookies));
  }
  return { reached, cookies };
}

/** Waits until it is so, for 3 s at most: the check that follows tells. */
export async function until(condition) {
  for (let turns = 0; turns < 300 && !(await condition()); turns += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
