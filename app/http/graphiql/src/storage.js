// What GraphiQL remembers between visits (tabs, history, theme), without the history's headers:
// shouldPersistHeaders does not reach the history, and an Authorization header is a secret.
const PREFIX = "graphiql:";
const HISTORY = ["graphiql:queries", "graphiql:favorites"];

const withoutHeaders = (json) =>
  JSON.stringify(JSON.parse(json), (key, value) => (key === "headers" ? undefined : value));

const ours = () => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));

export const storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) =>
    localStorage.setItem(key, HISTORY.includes(key) ? withoutHeaders(value) : value),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => ours().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return ours().length;
  },
};
