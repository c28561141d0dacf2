/** Until it is known whether somebody is signed in. It appears after two seconds: most answers are faster. */
export const Connecting = () => (
  <main className="late">
    <h1>Portico</h1>
    <p role="status">Connecting to the server …</p>
  </main>
);
