import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
// Their parts, not graphiql/style.css: that one holds Monaco's styles a second time and 400 kB of
// fonts, where the system's own serve.
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "@graphiql/plugin-explorer/style.css";
import "graphiql/graphiql.css";
import "./style.css";
import "./workers.js";
import { productName } from "./product.js";
import { fetcher, learn } from "./session.js";
import { SignIn } from "./SignIn.jsx";
import { storage } from "./storage.js";

const WELCOME = `# Welcome to ${productName}.
#
# Sign in above: every request of this page then
# carries your token. It is kept in memory only and
# renewed in time; a reload signs you out.
#
# On the left: the docs, your history, and an
# explorer that writes queries for you.
#
# Ctrl-Enter runs the query, Ctrl-Space completes
# what you type.

query Me {
  me {
    id
    email
    displayName
    role
    createdAt
  }
}
`;

// Outside the component: a new list on each render would reset the open panel.
const plugins = [HISTORY_PLUGIN, explorerPlugin()];

function Page() {
  return (
    <>
      <SignIn />
      <main>
        <GraphiQL
          fetcher={fetcher}
          plugins={plugins}
          storage={storage}
          defaultQuery={WELCOME}
          shouldPersistHeaders={false}
          onSchemaChange={learn}
          inputValueDeprecation
          schemaDescription
        />
      </main>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
